-- What is wrong in an org, one row a cause. Rows of connections that were pruned stay.
create table alerts (
    id               blob primary key,
    org_id           blob not null references orgs (id),
    kind             text not null check (kind in ('connection_failing', 'credential_refused', 'consent_expired', 'dead_jobs', 'schedules_late', 'queue_old')),
    -- kind and connection: of each there is one open alert
    cause_key        text not null,
    connection_id    blob,
    -- how often it was seen: failures, dead jobs, late schedules
    count            integer not null check (count >= 1),
    -- the cause's own number when it was last looked at; count grows by what this grows by
    seen             integer not null,
    first_seen       text not null,
    last_seen        text not null,
    -- times it was opened again soon after it was over
    flaps            integer not null default 0,
    acknowledged_at  text,
    acknowledged_by  text,
    silenced_until   text,
    silenced_by      text,
    -- when a message on it was last enqueued
    notified_at      text,
    resolved_at      text,
    check ((acknowledged_at is null) = (acknowledged_by is null)),
    check ((silenced_until is null) = (silenced_by is null))
);
-- The wall behind schedulers: whatever two of them believed, a cause has one open alert.
create unique index alerts_one_open on alerts (org_id, cause_key) where resolved_at is null;
create index alerts_open on alerts (kind, id) where resolved_at is null;
create index alerts_org on alerts (org_id, id);
create index alerts_over on alerts (org_id, cause_key, resolved_at) where resolved_at is not null;
create index alerts_age on alerts (resolved_at) where resolved_at is not null;

-- What is wrong: however many connections there are, only those are looked at.
create index connections_wrong on connections (id)
    where status in ('error', 'expired') or (status = 'active' and (health = 'failing' or error_count >= 3));
create index jobs_dead_causes on jobs (org_id, coalesce(connection_id, x'00000000000000000000000000000000'))
    where state in ('failed', 'quarantined') and discarded_at is null;

-- Where an org is told of alerts: e-mail through a connection of its own.
create table alert_channels (
    id             blob primary key,
    org_id         blob not null references orgs (id),
    connection_id  blob not null references connections (id) on delete cascade,
    -- addresses
    recipients     text not null,
    created_by     text not null,
    created_at     text not null,
    unique (org_id, connection_id)
);
