//! The end of an org's secrets: its data keys are deleted, and with them everything that
//! only they open.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};
use serde::Serialize;
use serde_json::json;

use super::{locked, rows, run};
use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, job},
    events::EventKind,
    failure::{Failure, FailureKind},
    ids::OrgId,
    job::JobState,
    store::{Store, StoreError, events::NewEvent},
    vault::columns::{ENCRYPTED, Under},
};

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Data keys.
    pub keys: u64,
    /// Credentials, now tombstones.
    pub credentials: u64,
    /// Connections that wait for a new credential.
    pub connections: u64,
    /// Jobs that carried a secret and were cancelled.
    pub jobs: u64,
    /// Secrets that messages to webhooks were signed with; each webhook waits for another.
    pub webhook_secrets: u64,
    /// Secrets of the org's own OAuth clients. Their masks stay, as the mark that there was one.
    pub client_secrets: u64,
}

impl Store {
    /// Deletes an org's data keys and empties what they closed, cancels the jobs that carry
    /// secrets of it, and lets its connections say why they do not work. `broken` tells the
    /// status of a connection of a provider whose credential is gone.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_secrets(
        &self,
        org: OrgId,
        actor: &str,
        broken: impl Fn(&str) -> ConnectionStatus,
    ) -> Result<Forgotten, StoreError> {
        let tx = self.begin().await?;
        let mut forgotten = Forgotten::default();
        // In the order of every other writer: connections, their jobs, then data keys.
        let connections = connection::Entity::find()
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .order_by_asc(connection::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(&tx)
            .await?;
        let carrying = job::Entity::find()
            .filter(job::Column::OrgId.eq(org))
            .filter(job::Column::Sealed.is_not_null())
            .filter(job::Column::State.is_in([
                JobState::Queued,
                JobState::Parked,
                JobState::Running,
            ]))
            .order_by_asc(job::Column::Id)
            .all(&tx)
            .await?;
        for job in carrying {
            self.jobs().cancel(&tx, org, job.id).await?;
            forgotten.jobs += 1;
        }
        for row in &connections {
            if self.revoke_credential(&tx, org, row.id, actor).await? {
                forgotten.credentials += 1;
            }
            // One that is switched off stays so; it has its words all the same.
            let status = match row.status {
                ConnectionStatus::Disabled | ConnectionStatus::Pending => row.status,
                ConnectionStatus::Active
                | ConnectionStatus::Error
                | ConnectionStatus::Expired
                | ConnectionStatus::Disconnected => broken(&row.provider),
            };
            let change = connection::ActiveModel {
                status: Set(status),
                health: Set(Health::Failing),
                last_error: Set(Some(words()?)),
                last_error_at: Set(Some(self.clock().now())),
                ..Default::default()
            };
            self.update_connection(&tx, row, change).await?;
            self.jobs().park_queued(&tx, row.id).await?;
            forgotten.connections += 1;
        }
        let held = format!(
            "select id from org_keys where org_id = $1 order by id {}",
            locked(self.db().get_database_backend(), "for update")
        );
        rows(&tx, &held, [org.into()]).await?;
        forgotten.keys = run(&tx, "delete from org_keys where org_id = $1", [org.into()]).await?;
        for column in ENCRYPTED {
            let Under::SealingKey { key, key_stays } = column.under else {
                continue;
            };
            let and_key = if key_stays {
                String::new()
            } else {
                format!(", {key} = null")
            };
            let sql = format!(
                "update {} set {} = null{and_key} where org_id = $1 and {} is not null",
                column.table, column.column, column.column
            );
            run(&tx, &sql, [org.into()]).await?;
        }
        // Only the keys that are gone opened these, too.
        let sql =
            "update alert_webhooks set secret = null, secret_mask = null, secret_set_at = null
             where org_id = $1 and secret is not null";
        forgotten.webhook_secrets = run(&tx, sql, [org.into()]).await?;
        let sql = "update oauth_clients set secret = null where org_id = $1 and secret is not null";
        forgotten.client_secrets = run(&tx, sql, [org.into()]).await?;
        let event = NewEvent::new(org, EventKind::OrgSecretsForgotten, actor)
            .data(json!({ "forgotten": forgotten }));
        self.record_event(&tx, event).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

fn words() -> Result<serde_json::Value, StoreError> {
    let failure = Failure::new(
        FailureKind::Auth,
        "the secrets of this organization were deleted for good by the operator",
        "Connect the account again; its records and history are still here.",
    );
    serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
        what: "connections.last_error",
        why: error.to_string(),
    })
}
