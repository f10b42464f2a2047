-- Time of the protocol: the database's clock, plus an offset that only tests
-- set (by inserting a row here). Read it once a statement: (select patchbay_now()).
create table clock_offset (offset_ms bigint not null);
create function patchbay_now() returns timestamptz language sql stable parallel safe as $$
    select statement_timestamp()
         + coalesce((select sum(offset_ms) from clock_offset), 0) * interval '1 millisecond'
$$;

-- One row: the name that binds every ciphertext to this deployment.
create table deployment (
    id          uuid primary key,
    only_row    boolean not null default true unique check (only_row),
    created_at  timestamptz not null
);

create table orgs (
    id          uuid primary key,
    name        text not null,
    created_at  timestamptz not null
);

create table api_keys (
    id           uuid primary key,
    org_id       uuid not null references orgs (id),
    name         text not null,
    role         text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    prefix       text not null unique,
    hash         bytea not null,
    created_at   timestamptz not null,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
create index api_keys_org on api_keys (org_id, id);

-- Data key of an org, wrapped by a key of the deployment's keyring.
create table org_keys (
    id          uuid primary key,
    org_id      uuid not null references orgs (id),
    wrapped_by  text not null,
    wrapped     bytea not null,
    created_at  timestamptz not null
);
create unique index org_keys_org on org_keys (org_id);

create table connections (
    id               uuid primary key,
    org_id           uuid not null references orgs (id),
    provider         text not null,
    name             text not null,
    config           jsonb not null,
    status           text not null check (status in ('pending', 'active', 'error', 'expired', 'disabled', 'disconnected')),
    health           text not null check (health in ('unknown', 'healthy', 'degraded', 'failing')),
    -- false where the manifest allows several connections of a provider in one org
    exclusive        boolean not null,
    account_key      text,
    account_name     text,
    capabilities_off jsonb not null,
    error_count      integer not null default 0,
    last_error       jsonb,
    last_error_at    timestamptz,
    last_success_at  timestamptz,
    last_checked_at  timestamptz,
    last_synced_at   timestamptz,
    version          bigint not null default 1,
    created_by       text not null,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    disconnected_at  timestamptz
);
create unique index connections_one_per_provider on connections (org_id, provider)
    where exclusive and status <> 'disconnected';
create index connections_org on connections (org_id, id);
create index connections_pending on connections (created_at) where status = 'pending';

-- After a disconnect the row stays as a tombstone: sealed is emptied.
create table credentials (
    id             uuid primary key,
    org_id         uuid not null references orgs (id),
    connection_id  uuid not null references connections (id),
    version        bigint not null,
    sealed         bytea,
    mask           jsonb not null,
    expires_at     timestamptz,
    created_by     text not null,
    created_at     timestamptz not null,
    revoked_by     text,
    revoked_at     timestamptz,
    check ((sealed is null) = (revoked_at is not null)),
    unique (connection_id, version)
);
create unique index credentials_current on credentials (connection_id) where revoked_at is null;

-- State of one stream of a connection. change_no is the counter that numbers
-- changes of its records in commit order: updating this row serialises them.
create table stream_states (
    connection_id   uuid not null references connections (id),
    stream          text not null,
    org_id          uuid not null references orgs (id),
    cursor          jsonb,
    generation      bigint not null default 0,
    change_no       bigint not null default 0,
    records         bigint not null default 0,
    last_synced_at  timestamptz,
    primary key (connection_id, stream)
);

create table records (
    connection_id   uuid not null references connections (id),
    stream          text not null,
    external_id     text not null,
    org_id          uuid not null references orgs (id),
    kind            text not null,
    data            jsonb not null,
    raw             jsonb not null,
    content_hash    bytea not null,
    source_version  bigint,
    generation      bigint not null,
    change_no       bigint not null,
    first_seen      timestamptz not null,
    last_changed    timestamptz not null,
    deleted_at      timestamptz,
    primary key (connection_id, stream, external_id)
);
-- Shapes above 2 kB are compressed. With lz4 an insert takes two thirds of the time it takes
-- with the default; a server that was built without lz4 keeps the default.
do $$ begin
    execute 'alter table records alter column data set compression lz4, alter column raw set compression lz4';
exception when feature_not_supported or syntax_error then
    raise notice 'records are compressed with pglz: this server has no lz4';
end $$;
create unique index records_changes on records (connection_id, stream, change_no);

create table processes (
    id           uuid primary key,
    kind         text not null check (kind in ('api', 'worker', 'scheduler', 'up')),
    version      text not null,
    host         text not null,
    started_at   timestamptz not null,
    lease_until  timestamptz not null,
    -- set by a graceful stop, or by the rescue that declared it dead
    ended_at     timestamptz
);
create index processes_live on processes (lease_until) where ended_at is null;

create table jobs (
    id             uuid primary key,
    org_id         uuid references orgs (id),
    connection_id  uuid references connections (id),
    kind           text not null,
    queue          text not null check (queue in ('interactive', 'sync', 'webhook', 'maintenance')),
    lane           text,
    args           jsonb not null,
    sealed         bytea,
    sealed_key     text,
    state          text not null check (state in ('queued', 'parked', 'running', 'succeeded', 'failed', 'cancelled', 'quarantined')),
    run_at         timestamptz not null,
    attempt        integer not null default 0 check (attempt >= 0),
    max_attempts   integer not null check (max_attempts > 0),
    crashes        integer not null default 0 check (crashes >= 0),
    timeout_s      integer not null check (timeout_s > 0),
    lease_epoch    bigint not null default 0,
    leased_by      uuid,
    deadline       timestamptz,
    dedupe_key     text,
    again          boolean not null default false,
    progress       jsonb,
    progress_no    bigint not null default 0,
    cursor         jsonb,
    result         jsonb,
    error          jsonb,
    trace_context  text,
    requested_by   text not null,
    created_at     timestamptz not null,
    started_at     timestamptz,
    finished_at    timestamptz,
    discarded_at   timestamptz,
    -- whose turn it is: the org, or the nil id for jobs of the deployment
    turn           uuid not null generated always as (coalesce(org_id, '00000000-0000-0000-0000-000000000000')) stored,
    constraint jobs_lease_iff_running check ((state = 'running') = (leased_by is not null)),
    constraint jobs_end_has_time check ((state in ('succeeded', 'failed', 'cancelled', 'quarantined')) = (finished_at is not null)),
    constraint jobs_discard_only_dead check (discarded_at is null or state in ('failed', 'quarantined')),
    -- a merged request would lose its secret
    constraint jobs_sealed_not_merged check (sealed is null or dedupe_key is null)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Skip scan over orgs: due jobs of a queue, a turn at a time. Jobs with a lane
-- stand apart, so that of a long lane only its head is looked at.
create index jobs_due on jobs (queue, turn, run_at, id) where state = 'queued' and lane is null;
create index jobs_due_lanes on jobs (queue, turn, lane, id) where state = 'queued' and lane is not null;
-- The wall behind lanes: whatever a claim believed, one job of a lane runs.
create unique index jobs_lane_running on jobs (lane) where state = 'running' and lane is not null;
-- The wall behind suspects: a process runs one job that a process has died under.
create unique index jobs_one_suspect on jobs (leased_by) where state = 'running' and crashes > 0;
-- One open job of a key. A request that meets a waiting one gets that job; one
-- that meets a running one sets its `again`.
create unique index jobs_dedupe on jobs (dedupe_key) where state in ('queued', 'parked', 'running') and dedupe_key is not null;
-- What a process runs, and what of it is past its deadline. Its condition says the same
-- as state = 'running' in other words, so that no question about running jobs can be
-- answered by walking through all of them here.
create index jobs_leased on jobs (leased_by, deadline) where leased_by is not null;
create index jobs_of_org on jobs (org_id, id) where org_id is not null;
create index jobs_open_of_connection on jobs (connection_id) where connection_id is not null and state in ('queued', 'parked', 'running');
create index jobs_dead on jobs (org_id, finished_at) where state in ('failed', 'quarantined') and discarded_at is null;
-- What retention deletes, and sealed arguments that a dead job may keep for a day.
create index jobs_prunable on jobs (finished_at) where state in ('succeeded', 'cancelled') or discarded_at is not null;
create index jobs_sealed_dead on jobs (finished_at) where sealed is not null and finished_at is not null;

create function refuse_job_transition() returns trigger language plpgsql as $$
begin
    raise exception 'illegal job transition % -> % (job %)', old.state, new.state, old.id
        using errcode = 'check_violation', constraint = 'jobs_legal_transition';
end $$;
create trigger jobs_legal_transition before update of state on jobs for each row
when (old.state <> new.state and not (
       (old.state = 'queued'  and new.state in ('running', 'parked', 'cancelled'))
    or (old.state = 'parked'  and new.state in ('queued', 'cancelled'))
    or (old.state = 'running' and new.state in ('queued', 'parked', 'succeeded', 'failed', 'cancelled', 'quarantined'))
    or (old.state in ('failed', 'quarantined') and new.state = 'queued')))
execute function refuse_job_transition();

create function refuse_job_birth() returns trigger language plpgsql as $$
begin
    raise exception 'a job is born queued or parked, not % (job %)', new.state, new.id
        using errcode = 'check_violation', constraint = 'jobs_legal_birth';
end $$;
create trigger jobs_legal_birth before insert on jobs for each row
when (new.state not in ('queued', 'parked'))
execute function refuse_job_birth();

create function refuse_epoch_step_back() returns trigger language plpgsql as $$
begin
    raise exception 'lease epoch of job % may not go from % to %', old.id, old.lease_epoch, new.lease_epoch
        using errcode = 'check_violation', constraint = 'jobs_epoch_grows';
end $$;
create trigger jobs_epoch_grows before update of lease_epoch, state on jobs for each row
when (new.lease_epoch < old.lease_epoch
      or (old.state <> 'running' and new.state = 'running' and new.lease_epoch = old.lease_epoch))
execute function refuse_epoch_step_back();

create table job_logs (
    job_id   uuid not null references jobs (id) on delete cascade,
    seq      bigint not null,
    at       timestamptz not null,
    attempt  integer not null,
    level    text not null check (level in ('debug', 'info', 'warn', 'error')),
    message  text not null,
    fields   jsonb not null,
    primary key (job_id, seq)
);

create table events (
    id             uuid primary key,
    org_id         uuid not null references orgs (id),
    kind           text not null,
    actor          text not null,
    connection_id  uuid,
    job_id         uuid,
    data           jsonb not null,
    at             timestamptz not null
);
create index events_org on events (org_id, id);

create table health_log (
    id             uuid primary key,
    org_id         uuid not null references orgs (id),
    connection_id  uuid not null references connections (id),
    kind           text not null check (kind in ('manual', 'scheduled', 'auto')),
    ok             boolean not null,
    response_ms    integer not null,
    error_kind     text,
    message        text,
    at             timestamptz not null
);
create index health_log_connection on health_log (connection_id, id);

create table idempotency_keys (
    org_id         uuid not null references orgs (id),
    key            text not null,
    route          text not null,
    body_hash      bytea not null,
    resource_kind  text not null,
    resource_ids   jsonb not null,
    created_at     timestamptz not null,
    primary key (org_id, key, route)
);
create index idempotency_keys_age on idempotency_keys (created_at);
