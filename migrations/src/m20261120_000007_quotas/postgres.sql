-- What a connection has used of the present hour and of the present day (UTC). A row whose
-- window is over counts as empty and is written anew by the next use.
create table quotas (
    connection_id  uuid not null references connections (id) on delete cascade,
    span           text not null check (span in ('hour', 'day')),
    org_id         uuid not null references orgs (id),
    starts_at      timestamptz not null,
    used           integer not null check (used >= 0),
    primary key (connection_id, span)
) with (fillfactor = 70);
