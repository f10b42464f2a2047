-- From when on something is an alert; an org without a row has the usual limits.
create table alert_limits (
    org_id                uuid primary key references orgs (id),
    -- of a connection
    failures_in_a_row     integer not null check (failures_in_a_row between 1 and 100),
    schedule_lag_seconds  integer not null check (schedule_lag_seconds between 60 and 604800),
    queue_age_seconds     integer not null check (queue_age_seconds between 60 and 604800),
    quiet_seconds         integer not null check (quiet_seconds between 60 and 604800),
    updated_by            text not null,
    updated_at            timestamptz not null
);

-- An org may want to know of the first failure. What the release before asks for is among it.
drop index connections_wrong;
create index connections_wrong on connections (id)
    where status in ('error', 'expired') or (status = 'active' and (health = 'failing' or error_count >= 1));
