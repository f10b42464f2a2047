-- One pass that gives every org a new data key and moves everything over to it.
-- open: true until nothing uses an old key any more; at most one pass is open.
create table reencryptions (
    id           blob primary key,
    open         boolean unique check (open),
    started_at   text not null,
    finished_at  text,
    rows_done    integer not null default 0,
    check ((open is null) = (finished_at is not null))
);

-- The one current key of an org closes. Retired ones only open, until nothing uses them.
alter table org_keys add column retired_at text;
-- the pass that made it; null: the org's first credential did
alter table org_keys add column made_by blob references reencryptions (id);
drop index org_keys_org;
create unique index org_keys_current on org_keys (org_id) where retired_at is null;
create index org_keys_of_org on org_keys (org_id);
create index org_keys_retired on org_keys (id) where retired_at is not null;
create index org_keys_wrapped_by on org_keys (wrapped_by);

-- A blob begins with its version, its algorithm and the id of its key: 39 bytes where
-- that is a data key. Passes walk these indexes, so they read only what is left to do.
create index credentials_sealed_by on credentials (substr(sealed, 1, 39), id);
create index oauth_clients_secret_by on oauth_clients (substr(secret, 1, 39), id);
create index jobs_sealed_by on jobs (sealed_key) where sealed is not null;

-- JSON: the keys that a process holds or seals to, by id, with state and fingerprint.
-- Null: it has not said yet, or has none.
alter table processes add column keys text;

-- The keys promoted last, as `id fingerprint`: a process whose keyring lacks one of them
-- must not start.
alter table deployment add column promoted_key text;
alter table deployment add column promoted_sealing text;
