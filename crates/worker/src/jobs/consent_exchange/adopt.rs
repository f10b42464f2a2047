//! The grant becomes the credential of its account's connection, in one transaction: a new
//! connection, the one that is connected again, or a disconnected one that comes back with
//! its records and cursors. Two accounts never share one.

use patchbay_core::{
    connection::{ConnectionStatus, Shortfall},
    entities::connection,
    failure::{Failure, FailureKind},
    hints::Signal,
    ids::{ConnectionId, CredentialId},
    job::Queue,
    store::{
        connections::{Inserted, NewConnection, TestedAccount},
        credentials::{GrantFacts, NewCredential},
        jobs::Due,
    },
};
use patchbay_providers::{Account, oauth::Grant};
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

use super::{Exchange, Lost};
use crate::{jobs::opening::vault_error, refresh::due_ahead};

/// Somebody else made or moved a connection between our look and our lock, this often.
const TRIES: usize = 5;

pub(super) async fn adopt(
    exchange: &Exchange<'_>,
    grant: &Grant,
    account: &Account,
) -> Result<Value, Lost> {
    for _ in 0..TRIES {
        if let Some(result) = attempt(exchange, grant, account).await? {
            return Ok(result);
        }
    }
    Err(Lost::Failed(Failure::new(
        FailureKind::Conflict,
        "other requests change the connections of this provider all the time",
        "Connect again once they have ended.",
    )))
}

/// One try. `None`: what was found had changed when it was locked.
async fn attempt(
    exchange: &Exchange<'_>,
    grant: &Grant,
    account: &Account,
) -> Result<Option<Value>, Lost> {
    let (run, ctx, org) = (exchange.run, exchange.ctx, exchange.org);
    let (tx, row) = match find(exchange, account).await? {
        Some(found) => {
            let (tx, row) = run.begin_fenced_on(org, found.id).await?;
            let row = row.filter(|row| row.status == found.status);
            let Some(row) = row.filter(|row| row.account_key == found.account_key) else {
                tx.rollback().await?;
                return Ok(None);
            };
            if let Some(other) = row.account_key.as_ref().filter(|key| **key != account.key) {
                tx.rollback().await?;
                return Err(Lost::Failed(other_account(exchange, &row, other, account)));
            }
            let row = if row.status == ConnectionStatus::Disconnected {
                // Who disconnects does not expect an older consent to undo it.
                if row.disconnected_at > exchange.consent.consumed_at {
                    tx.rollback().await?;
                    return Err(Lost::Failed(disconnected_since()));
                }
                match ctx.store.bring_back_connection(&tx, &row).await? {
                    Some(row) => row,
                    None => {
                        tx.rollback().await?;
                        return Ok(None);
                    }
                }
            } else {
                row
            };
            (tx, row)
        }
        None => {
            let tx = run.begin_fenced().await?;
            match ctx.store.insert_connection(&tx, new(exchange)).await? {
                Inserted::New(row) => (tx, *row),
                Inserted::Taken => {
                    tx.rollback().await?;
                    return Ok(None);
                }
            }
        }
    };
    // Etsy says with the test what it granted, most with the grant; who says nothing granted
    // what was asked for (RFC 6749, section 5.1).
    let granted = grant.scopes.clone().or_else(|| account.scopes.clone());
    let granted = granted.unwrap_or_else(|| asked(exchange));
    let missing = lacks(exchange, &granted);
    store_grant(exchange, &tx, &row, grant, granted).await?;
    let (refused, words) = missing.unzip();
    let failure = words.as_ref().map(|words: &String| {
        Failure::new(
            FailureKind::Scope,
            words.clone(),
            "Connect again and grant the rest, or switch off what is not needed.",
        )
    });
    let row = ctx
        .store
        .set_refused(&tx, &row, &refused.unwrap_or_default(), failure.as_ref())
        .await?;
    let tested = TestedAccount {
        key: account.key.clone(),
        name: account.name.clone(),
    };
    let consent = exchange.consent;
    let updated = ctx
        .store
        .activate_connection(
            &tx,
            &row,
            consent.config.clone(),
            &tested,
            &consent.requested_by,
        )
        .await?;
    let released = if updated.status == ConnectionStatus::Active {
        ctx.store.jobs().unpark(&tx, row.id).await?
    } else {
        Vec::new()
    };
    let result = json!({ "connection": row.id, "account": account, "missing": words });
    run.succeed_in(&tx, &result).await?;
    tx.commit().await?;
    if words.is_some() {
        ctx.consents.connected_with_less.add(1);
    }
    tell(exchange, row.id, &released).await;
    Ok(Some(result))
}

/// The connection that this account belongs to, before it is locked: the one that was asked
/// for, else the live one of a provider that allows one, else one of the same account.
async fn find(
    exchange: &Exchange<'_>,
    account: &Account,
) -> Result<Option<connection::Model>, Lost> {
    let (ctx, org, consent) = (exchange.ctx, exchange.org, exchange.consent);
    if let Some(id) = consent.connection_id {
        let row = ctx.store.connection(ctx.store.db(), org, id).await?;
        return match row {
            Some(row) => Ok(Some(row)),
            None => Err(Lost::Failed(Failure::new(
                FailureKind::Invalid,
                "the connection that was to be connected again is gone",
                "Connect anew, without naming it.",
            ))),
        };
    }
    let manifest = exchange.provider.manifest();
    if manifest.exclusive
        && let Some(live) = ctx.store.live_connection_of(org, &manifest.key).await?
    {
        return Ok(Some(live));
    }
    Ok(ctx
        .store
        .connection_of_account(org, &manifest.key, &account.key)
        .await?)
}

fn new(exchange: &Exchange<'_>) -> NewConnection {
    let consent = exchange.consent;
    NewConnection {
        org: exchange.org,
        provider: consent.provider.clone(),
        name: consent.name.clone(),
        config: consent.config.clone(),
        exclusive: exchange.provider.manifest().exclusive,
        created_by: consent.requested_by.clone(),
    }
}

/// Closes and stores the grant.
async fn store_grant(
    exchange: &Exchange<'_>,
    tx: &DatabaseTransaction,
    row: &connection::Model,
    grant: &Grant,
    scopes: Vec<String>,
) -> Result<(), Lost> {
    let (ctx, org, consent) = (exchange.ctx, exchange.org, exchange.consent);
    let id = CredentialId::new(ctx.store.clock());
    let sealed = ctx
        .vault
        .close_credential(&ctx.store, tx, org, row.id, id, &grant.fields)
        .await
        .map_err(vault_error)?;
    let refreshable = grant.fields.get("refresh_token").is_some();
    let due = due_ahead(row.id, ctx.clock.now(), grant.expires_at);
    let facts = GrantFacts {
        client_id: consent.client_id.clone(),
        scopes: Some(scopes),
        refreshable,
        refresh_expires_at: grant.refresh_expires_at,
        refresh_due_at: due.filter(|_| refreshable),
    };
    let new = NewCredential {
        id,
        sealed,
        mask: json!(grant.fields.masks()),
        expires_at: grant.expires_at,
        created_by: consent.requested_by.clone(),
        grant: Some(facts),
    };
    ctx.store.replace_credential(tx, org, row.id, new).await?;
    Ok(())
}

/// The scopes that the consent was asked for with.
fn asked(exchange: &Exchange<'_>) -> Vec<String> {
    match &exchange.consent.scopes {
        Value::Array(scopes) => {
            let scopes = scopes.iter().filter_map(Value::as_str);
            scopes.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Which capabilities were asked for and not granted, also in words.
fn lacks(exchange: &Exchange<'_>, granted: &[String]) -> Option<(Shortfall, String)> {
    let manifest = exchange.provider.manifest();
    let mut refused = asked(exchange);
    refused.retain(|scope| !granted.contains(scope));
    if refused.is_empty() {
        return None;
    }
    let mut shortfall = manifest.shortfall(granted);
    shortfall.retain(|_, scopes| scopes.iter().any(|scope| refused.contains(scope)));
    let lost: Vec<&str> = shortfall
        .keys()
        .filter_map(|key| {
            let capability = manifest.capabilities.iter().find(|it| it.key == *key)?;
            Some(capability.label.as_str())
        })
        .collect();
    let lost = if lost.is_empty() {
        String::new()
    } else {
        format!(", so this does not work: {}", lost.join(", "))
    };
    let words = format!("The account did not grant {}{lost}.", refused.join(", "));
    Some((shortfall, words))
}

fn disconnected_since() -> Failure {
    Failure::new(
        FailureKind::Invalid,
        "the connection was disconnected after this consent was given",
        "Connect again.",
    )
}

fn other_account(
    exchange: &Exchange<'_>,
    row: &connection::Model,
    other: &str,
    account: &Account,
) -> Failure {
    let belongs = row.account_name.as_deref().unwrap_or(other);
    Failure::new(
        FailureKind::Conflict,
        format!(
            "this is the account `{}`, but the connection `{}` belongs to `{belongs}`",
            account.name, row.name
        ),
        format!(
            "Connect again and choose `{belongs}` at {}; or disconnect that connection and connect anew: the records \
             of two accounts are never mixed.",
            exchange.provider.manifest().label
        ),
    )
}

/// After the commit: parked work is due, and watchers of the connection look. Best effort.
async fn tell(exchange: &Exchange<'_>, connection: ConnectionId, released: &[Due]) {
    let hints = &exchange.ctx.hints;
    let all = async {
        for queue in Queue::ALL {
            hints.push(queue, released).await?;
        }
        let org = exchange.org;
        hints.signal(Signal::Connection { org, connection }).await
    };
    if let Err(away) = all.await {
        tracing::debug!(%away, job = %exchange.run.job.id, "hints not pushed");
    }
}
