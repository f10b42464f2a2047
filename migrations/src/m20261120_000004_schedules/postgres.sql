-- When the clock asks for a sync of one stream of a connection. tick is the nominal time
-- of the next run, next_at the moment it is due: a jitter later. Both are null where the
-- calendar has no next time. Rows go with the disconnect of their connection.
create table schedules (
    id             uuid primary key,
    org_id         uuid not null references orgs (id),
    connection_id  uuid not null references connections (id),
    stream         text not null,
    -- what must be switched on at the connection
    capability     text not null,
    pull           text not null check (pull in ('incremental', 'full', 'last_24h', 'last_7_days')),
    every_s        bigint check (every_s > 0),
    cron           text,
    time_zone      text,
    misfire        text not null check (misfire in ('skip', 'last', 'all')),
    tick           timestamptz,
    next_at        timestamptz,
    paused_at      timestamptz,
    last_tick      timestamptz,
    last_outcome   text check (last_outcome in ('made', 'merged', 'again', 'held', 'skipped')),
    last_job_id    uuid,
    last_at        timestamptz,
    created_by     text not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    constraint schedules_one_timing check ((every_s is null) = (cron is not null) and (cron is null) = (time_zone is null)),
    constraint schedules_due_after_tick check ((tick is null) = (next_at is null) and next_at >= tick)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
-- What is due: however many schedules there are, only those are looked at.
create index schedules_due on schedules (next_at) where paused_at is null and next_at is not null;
create index schedules_org on schedules (org_id, id);
create index schedules_connection on schedules (connection_id, id);

-- The wall behind ticks: whatever two schedulers believed, a tick is dealt with once.
create table schedule_ticks (
    schedule_id  uuid not null references schedules (id) on delete cascade,
    tick         timestamptz not null,
    outcome      text not null check (outcome in ('made', 'merged', 'again', 'held', 'skipped')),
    job_id       uuid,
    at           timestamptz not null,
    primary key (schedule_id, tick)
);
create index schedule_ticks_age on schedule_ticks (at);

-- Written by every scheduler every few seconds, for operators. behind_ms: how long the
-- oldest due row of the duty has waited; late_ms: how much later than planned it ran.
create table duty_reports (
    process_id       uuid not null references processes (id) on delete cascade,
    duty             text not null,
    last_run_at      timestamptz not null,
    last_success_at  timestamptz,
    took_ms          bigint not null,
    late_ms          bigint not null,
    behind_ms        bigint,
    runs             bigint not null,
    done             bigint not null,
    errors           bigint not null,
    last_error       text,
    reported_at      timestamptz not null,
    primary key (process_id, duty)
);

-- How far retention has come where what it forgets leaves the row in place.
create table retention_marks (
    what   text primary key,
    until  timestamptz not null
);
