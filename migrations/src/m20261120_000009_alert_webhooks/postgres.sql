-- Where an org is told of alerts by webhook. A table of its own beside alert_channels: processes
-- of the version before read every row of that one, and each must have a connection.
create table alert_webhooks (
    id                 uuid primary key,
    org_id             uuid not null references orgs (id),
    url                text not null,
    -- what messages are signed with; null until a worker has closed it
    secret             bytea,
    secret_mask        text,
    secret_set_at      timestamptz,
    created_by         text not null,
    created_at         timestamptz not null,
    -- the receiver said that it wants no more
    disabled_at        timestamptz,
    last_delivered_at  timestamptz,
    last_error         jsonb,
    last_error_at      timestamptz,
    unique (org_id, url),
    check ((secret is null) = (secret_mask is null) and (secret is null) = (secret_set_at is null)),
    check ((last_error is null) = (last_error_at is null))
);
-- Rotations of keys walk it, as those of the other encrypted columns.
create index alert_webhooks_secret_by on alert_webhooks (substr(secret, 1, 39), id);
