-- What each column is for: postgres.sql beside this file.
alter table credentials add column origin text not null default 'secret' check (origin in ('secret', 'consent'));
alter table credentials add column client_id text;
alter table credentials add column scopes text;
alter table credentials add column refreshable integer not null default 0;
alter table credentials add column refresh_expires_at text;
alter table credentials add column refreshed_at text;
alter table credentials add column refresh_due_at text;
alter table credentials add column refresh_by blob;
alter table credentials add column refresh_until text;
alter table credentials add column refresh_sent_at text;
alter table credentials add column refresh_failures integer not null default 0;
alter table credentials add column refused_at text;
create index credentials_refresh_due on credentials (refresh_due_at)
    where refresh_due_at is not null and revoked_at is null and refused_at is null;

create table consents (
    id             blob primary key,
    org_id         blob not null references orgs (id),
    provider       text not null,
    connection_id  blob references connections (id),
    name           text not null,
    config         text not null,
    scopes         text not null,
    client_id      text not null,
    redirect_uri   text not null,
    return_url     text,
    job_id         blob not null unique,
    ticket_hash    blob not null unique,
    state_hash     blob unique,
    browser_hash   blob,
    verifier       blob,
    verifier_key   text,
    requested_by   text not null,
    trace_context  text,
    created_at     text not null,
    expires_at     text not null,
    opened_at      text,
    consumed_at    text,
    exchanged_at   text,
    failure        text,
    check ((state_hash is null) = (opened_at is null)),
    check ((browser_hash is null) = (opened_at is null)),
    check (consumed_at is null or opened_at is not null),
    check ((verifier is null) = (verifier_key is null))
);
create index consents_age on consents (expires_at);
create index consents_org on consents (org_id, id);

create table oauth_clients (
    id          blob primary key,
    org_id      blob not null references orgs (id),
    provider    text not null,
    client_id   text not null,
    secret      blob,
    mask        text,
    created_by  text not null,
    created_at  text not null,
    unique (org_id, provider)
);

create index connections_account on connections (provider, account_key) where account_key is not null;
