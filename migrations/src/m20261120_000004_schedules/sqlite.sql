-- When the clock asks for a sync of one stream of a connection. tick is the nominal time
-- of the next run, next_at the moment it is due: a jitter later. Both are null where the
-- calendar has no next time. Rows go with the disconnect of their connection.
create table schedules (
    id             blob primary key,
    org_id         blob not null references orgs (id),
    connection_id  blob not null references connections (id),
    stream         text not null,
    -- what must be switched on at the connection
    capability     text not null,
    pull           text not null check (pull in ('incremental', 'full', 'last_24h', 'last_7_days')),
    every_s        integer check (every_s > 0),
    cron           text,
    time_zone      text,
    misfire        text not null check (misfire in ('skip', 'last', 'all')),
    tick           text,
    next_at        text,
    paused_at      text,
    last_tick      text,
    last_outcome   text check (last_outcome in ('made', 'merged', 'again', 'held', 'skipped')),
    last_job_id    blob,
    last_at        text,
    created_by     text not null,
    created_at     text not null,
    updated_at     text not null,
    constraint schedules_one_timing check ((every_s is null) = (cron is not null) and (cron is null) = (time_zone is null)),
    constraint schedules_due_after_tick check ((tick is null) = (next_at is null) and next_at >= tick)
);
-- What is due: however many schedules there are, only those are looked at.
create index schedules_due on schedules (next_at) where paused_at is null and next_at is not null;
create index schedules_org on schedules (org_id, id);
create index schedules_connection on schedules (connection_id, id);

-- The wall behind ticks: whatever two schedulers believed, a tick is dealt with once.
create table schedule_ticks (
    schedule_id  blob not null references schedules (id) on delete cascade,
    tick         text not null,
    outcome      text not null check (outcome in ('made', 'merged', 'again', 'held', 'skipped')),
    job_id       blob,
    at           text not null,
    primary key (schedule_id, tick)
);
create index schedule_ticks_age on schedule_ticks (at);

-- Written by every scheduler every few seconds, for operators. behind_ms: how long the
-- oldest due row of the duty has waited; late_ms: how much later than planned it ran.
create table duty_reports (
    process_id       blob not null references processes (id) on delete cascade,
    duty             text not null,
    last_run_at      text not null,
    last_success_at  text,
    took_ms          integer not null,
    late_ms          integer not null,
    behind_ms        integer,
    runs             integer not null,
    done             integer not null,
    errors           integer not null,
    last_error       text,
    reported_at      text not null,
    primary key (process_id, duty)
);

-- How far retention has come where what it forgets leaves the row in place.
create table retention_marks (
    what   text primary key,
    until  text not null
);
