-- How failed work of an org is tried again; an org without a row has the usual policy.
create table retry_policies (
    org_id       uuid not null references orgs (id),
    scope        text not null check (scope in ('jobs', 'webhooks')),
    kind         text not null check (kind in ('exponential', 'linear', 'fixed', 'standard_webhooks')),
    max_retries  integer not null check (max_retries between 0 and 20),
    base_ms      bigint not null check (base_ms between 100 and 86400000),
    cap_ms       bigint not null check (cap_ms between base_ms and 86400000),
    jitter       boolean not null,
    -- false: a job that gives up is discarded at once
    dead_letters boolean not null,
    updated_by   text not null,
    updated_at   timestamptz not null,
    primary key (org_id, scope),
    check (scope = 'webhooks' or kind <> 'standard_webhooks')
);

-- What dead jobs have in common, written when they die: kind, provider, failure (core::retry::fingerprint).
alter table jobs add column dead_group text;
update jobs set dead_group = kind || ':'
        || coalesce((select provider from connections c where c.id = jobs.connection_id), '-') || ':'
        || coalesce(error ->> 'kind', 'internal')
where state in ('failed', 'quarantined');
create index jobs_dead_groups on jobs (org_id, dead_group, id)
    where state in ('failed', 'quarantined') and discarded_at is null;

-- Which host of which provider does not answer. A row is written when a call fails and when
-- the first one passes again, never while all is well.
create table breakers (
    provider         text not null,
    origin           text not null,
    -- failures in a row, since first_failed_at
    failures         integer not null default 0,
    first_failed_at  timestamptz,
    -- null: closed
    opened_at        timestamptz,
    -- times it opened in a row without a call that passed
    trips            integer not null default 0,
    -- no call before; whoever may probe moves it on
    probe_at         timestamptz,
    -- the last failure in words
    reason           text,
    primary key (provider, origin),
    check ((opened_at is null) = (probe_at is null))
);
