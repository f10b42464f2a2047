-- Times are text in UTC, bound by the process (its Clock): one process owns the file.

-- One row: the name that binds every ciphertext to this deployment.
create table deployment (
    id          blob primary key,
    only_row    boolean not null default true unique check (only_row),
    created_at  text not null
);

create table orgs (
    id          blob primary key,
    name        text not null,
    created_at  text not null
);

create table api_keys (
    id           blob primary key,
    org_id       blob not null references orgs (id),
    name         text not null,
    role         text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    prefix       text not null unique,
    hash         blob not null,
    created_at   text not null,
    last_used_at text,
    revoked_at   text
);
create index api_keys_org on api_keys (org_id, id);

-- Data key of an org, wrapped by a key of the deployment's keyring.
create table org_keys (
    id          blob primary key,
    org_id      blob not null references orgs (id),
    wrapped_by  text not null,
    wrapped     blob not null,
    created_at  text not null
);
create unique index org_keys_org on org_keys (org_id);

create table connections (
    id               blob primary key,
    org_id           blob not null references orgs (id),
    provider         text not null,
    name             text not null,
    config           text not null,
    status           text not null check (status in ('pending', 'active', 'error', 'expired', 'disabled', 'disconnected')),
    health           text not null check (health in ('unknown', 'healthy', 'degraded', 'failing')),
    -- false where the manifest allows several connections of a provider in one org
    exclusive        boolean not null,
    account_key      text,
    account_name     text,
    capabilities_off text not null,
    error_count      integer not null default 0,
    last_error       text,
    last_error_at    text,
    last_success_at  text,
    last_checked_at  text,
    last_synced_at   text,
    version          integer not null default 1,
    created_by       text not null,
    created_at       text not null,
    updated_at       text not null,
    disconnected_at  text
);
create unique index connections_one_per_provider on connections (org_id, provider)
    where exclusive and status <> 'disconnected';
create index connections_org on connections (org_id, id);
create index connections_pending on connections (created_at) where status = 'pending';

-- After a disconnect the row stays as a tombstone: sealed is emptied.
create table credentials (
    id             blob primary key,
    org_id         blob not null references orgs (id),
    connection_id  blob not null references connections (id),
    version        integer not null,
    sealed         blob,
    mask           text not null,
    expires_at     text,
    created_by     text not null,
    created_at     text not null,
    revoked_by     text,
    revoked_at     text,
    check ((sealed is null) = (revoked_at is not null)),
    unique (connection_id, version)
);
create unique index credentials_current on credentials (connection_id) where revoked_at is null;

-- State of one stream of a connection. change_no is the counter that numbers
-- changes of its records in commit order: updating this row serialises them.
create table stream_states (
    connection_id   blob not null references connections (id),
    stream          text not null,
    org_id          blob not null references orgs (id),
    cursor          text,
    generation      integer not null default 0,
    change_no       integer not null default 0,
    records         integer not null default 0,
    last_synced_at  text,
    primary key (connection_id, stream)
);

create table records (
    connection_id   blob not null references connections (id),
    stream          text not null,
    external_id     text not null,
    org_id          blob not null references orgs (id),
    kind            text not null,
    data            text not null,
    raw             text not null,
    content_hash    blob not null,
    source_version  integer,
    generation      integer not null,
    change_no       integer not null,
    first_seen      text not null,
    last_changed    text not null,
    deleted_at      text,
    primary key (connection_id, stream, external_id)
);
create unique index records_changes on records (connection_id, stream, change_no);

create table processes (
    id           blob primary key,
    kind         text not null check (kind in ('api', 'worker', 'scheduler', 'up')),
    version      text not null,
    host         text not null,
    started_at   text not null,
    lease_until  text not null,
    -- set by a graceful stop, or by the rescue that declared it dead
    ended_at     text
);
create index processes_live on processes (lease_until) where ended_at is null;

create table jobs (
    id             blob primary key,
    org_id         blob references orgs (id),
    connection_id  blob references connections (id),
    kind           text not null,
    queue          text not null check (queue in ('interactive', 'sync', 'webhook', 'maintenance')),
    lane           text,
    args           text not null,
    sealed         blob,
    sealed_key     text,
    state          text not null check (state in ('queued', 'parked', 'running', 'succeeded', 'failed', 'cancelled', 'quarantined')),
    run_at         text not null,
    attempt        integer not null default 0 check (attempt >= 0),
    max_attempts   integer not null check (max_attempts > 0),
    crashes        integer not null default 0 check (crashes >= 0),
    timeout_s      integer not null check (timeout_s > 0),
    lease_epoch    integer not null default 0,
    leased_by      blob,
    deadline       text,
    dedupe_key     text,
    again          boolean not null default false,
    progress       text,
    progress_no    integer not null default 0,
    cursor         text,
    result         text,
    error          text,
    trace_context  text,
    requested_by   text not null,
    created_at     text not null,
    started_at     text,
    finished_at    text,
    discarded_at   text,
    -- whose turn it is: the org, or the nil id for jobs of the deployment
    turn           blob not null generated always as (coalesce(org_id, zeroblob(16))) stored,
    constraint jobs_lease_iff_running check ((state = 'running') = (leased_by is not null)),
    constraint jobs_end_has_time check ((state in ('succeeded', 'failed', 'cancelled', 'quarantined')) = (finished_at is not null)),
    constraint jobs_discard_only_dead check (discarded_at is null or state in ('failed', 'quarantined')),
    -- a merged request would lose its secret
    constraint jobs_sealed_not_merged check (sealed is null or dedupe_key is null)
);

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

create trigger jobs_legal_transition before update of state on jobs for each row
when (old.state <> new.state and not (
       (old.state = 'queued'  and new.state in ('running', 'parked', 'cancelled'))
    or (old.state = 'parked'  and new.state in ('queued', 'cancelled'))
    or (old.state = 'running' and new.state in ('queued', 'parked', 'succeeded', 'failed', 'cancelled', 'quarantined'))
    or (old.state in ('failed', 'quarantined') and new.state = 'queued')))
begin select raise(abort, 'illegal job transition (jobs_legal_transition)'); end;

create trigger jobs_legal_birth before insert on jobs for each row
when (new.state not in ('queued', 'parked'))
begin select raise(abort, 'a job is born queued or parked (jobs_legal_birth)'); end;

create trigger jobs_epoch_grows before update of lease_epoch, state on jobs for each row
when (new.lease_epoch < old.lease_epoch
      or (old.state <> 'running' and new.state = 'running' and new.lease_epoch = old.lease_epoch))
begin select raise(abort, 'a lease epoch may not stand still or go back (jobs_epoch_grows)'); end;

create table job_logs (
    job_id   blob not null references jobs (id) on delete cascade,
    seq      integer not null,
    at       text not null,
    attempt  integer not null,
    level    text not null check (level in ('debug', 'info', 'warn', 'error')),
    message  text not null,
    fields   text not null,
    primary key (job_id, seq)
);

create table events (
    id             blob primary key,
    org_id         blob not null references orgs (id),
    kind           text not null,
    actor          text not null,
    connection_id  blob,
    job_id         blob,
    data           text not null,
    at             text not null
);
create index events_org on events (org_id, id);

create table health_log (
    id             blob primary key,
    org_id         blob not null references orgs (id),
    connection_id  blob not null references connections (id),
    kind           text not null check (kind in ('manual', 'scheduled', 'auto')),
    ok             boolean not null,
    response_ms    integer not null,
    error_kind     text,
    message        text,
    at             text not null
);
create index health_log_connection on health_log (connection_id, id);

create table idempotency_keys (
    org_id         blob not null references orgs (id),
    key            text not null,
    route          text not null,
    body_hash      blob not null,
    resource_kind  text not null,
    resource_ids   text not null,
    created_at     text not null,
    primary key (org_id, key, route)
);
create index idempotency_keys_age on idempotency_keys (created_at);
