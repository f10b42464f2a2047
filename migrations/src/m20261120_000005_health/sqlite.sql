alter table connections add column health_interval_minutes integer not null default 5
    constraint connections_health_interval check (health_interval_minutes between 1 and 60);

-- The checks of a connection: when the next is due, and what they came to since the row was
-- last emptied into health_days and health_rings. A check that passes writes this row only.
create table connection_health (
    connection_id    blob primary key references connections (id),
    org_id           blob not null references orgs (id),
    provider         text not null,
    every_minutes    integer not null check (every_minutes between 1 and 60),
    -- null: pending, disabled and disconnected connections are not checked
    next_check_at    text,
    -- the tick that last asked for it: of two jobs that hold this connection, the later counts
    asked_at         text,
    last_checked_at  text,
    last_passed_at   text,
    -- outcomes of the last four checks, packed (core::health::judgement)
    outcomes         integer not null default 1,
    -- counts by hour and the checks themselves, packed (core::health::open)
    open             blob not null default x''
);
create index connection_health_due on connection_health (next_check_at) where next_check_at is not null;

insert into connection_health (connection_id, org_id, provider, every_minutes, next_check_at)
select id, org_id, provider, 5,
       case when status in ('active', 'error', 'expired') then strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now') end
from connections;

-- Rollups: counts and response times of a day, hour by hour, packed (core::health::day).
create table health_days (
    connection_id  blob not null references connections (id),
    day            text not null,
    hours          blob not null,
    primary key (connection_id, day)
);
create index health_days_age on health_days (day);

-- The last hundred checks of a connection but those in connection_health, packed (core::health::ring).
create table health_rings (
    connection_id  blob primary key references connections (id),
    checks         blob not null
);

-- The log keeps checks that failed, changed the health or were asked for by a person.
alter table health_log add column failure text;
-- the health after this check
alter table health_log add column health text check (health in ('unknown', 'healthy', 'degraded', 'failing'));

-- Batches of checks are many and soon of no interest.
create index jobs_health_batches on jobs (finished_at)
    where kind = 'health_batch' and org_id is null and state = 'succeeded';
