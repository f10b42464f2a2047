-- A grant (OAuth) is refreshed in place: version + 1, sealed anew. refresh_by and
-- refresh_until are the lease of the one process that may ask the provider now;
-- refresh_sent_at stands while an answer may be on the wire, so that one which was
-- given and never committed is noticed.
alter table credentials
    add column origin             text not null default 'secret' check (origin in ('secret', 'consent')),
    add column client_id          text,
    add column scopes             jsonb,
    add column refreshable        boolean not null default false,
    add column refresh_expires_at timestamptz,
    add column refreshed_at       timestamptz,
    add column refresh_due_at     timestamptz,
    add column refresh_by         uuid,
    add column refresh_until      timestamptz,
    add column refresh_sent_at    timestamptz,
    add column refresh_failures   integer not null default 0,
    -- set when the provider has refused this version for good
    add column refused_at         timestamptz;
-- What the refresh-ahead duty reads: due grants that nobody has refused.
create index credentials_refresh_due on credentials (refresh_due_at)
    where refresh_due_at is not null and revoked_at is null and refused_at is null;

-- One consent from its first request to its end. The ticket is in the address that the
-- caller opens, the state goes to the provider, the browser's secret is in its cookie:
-- all three are 256 random bits and stand here hashed.
create table consents (
    id             uuid primary key,
    org_id         uuid not null references orgs (id),
    provider       text not null,
    -- given where an existing connection is to be connected again
    connection_id  uuid references connections (id),
    name           text not null,
    config         jsonb not null,
    scopes         jsonb not null,
    client_id      text not null,
    redirect_uri   text not null,
    return_url     text,
    -- id of the exchange job, made beforehand: what is sealed for it is bound to it
    job_id         uuid not null unique,
    ticket_hash    bytea not null unique,
    state_hash     bytea unique,
    browser_hash   bytea,
    -- PKCE verifier, sealed to the workers for the exchange job
    verifier       bytea,
    verifier_key   text,
    requested_by   text not null,
    trace_context  text,
    created_at     timestamptz not null,
    expires_at     timestamptz not null,
    opened_at      timestamptz,
    consumed_at    timestamptz,
    -- set before the code is sent to the provider: a second run must not send it again
    exchanged_at   timestamptz,
    -- why it ended without an exchange: the person or the provider said no
    failure        jsonb,
    check ((state_hash is null) = (opened_at is null)),
    check ((browser_hash is null) = (opened_at is null)),
    check (consumed_at is null or opened_at is not null),
    check ((verifier is null) = (verifier_key is null))
);
create index consents_age on consents (expires_at);
create index consents_org on consents (org_id, id);

-- An org's own client at a provider, in place of the deployment's.
create table oauth_clients (
    id          uuid primary key,
    org_id      uuid not null references orgs (id),
    provider    text not null,
    client_id   text not null,
    -- closed under the org's data key; empty for a public client
    secret      bytea,
    mask        text,
    created_by  text not null,
    created_at  timestamptz not null,
    unique (org_id, provider)
);

create index connections_account on connections (provider, account_key) where account_key is not null;
