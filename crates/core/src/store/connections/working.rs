//! What work with a connection did to it: it went wrong, it went well, or a credential that
//! was refused works again.

use sea_orm::{ActiveValue::Set, DatabaseTransaction};
use serde_json::json;

use crate::{
    connection::{ConnectionStatus, Health},
    entities::connection,
    events::EventKind,
    failure::Failure,
    store::{Store, StoreError, events::NewEvent},
};

impl Store {
    /// Work with the connection went wrong. `status` is set where the failure settles it
    /// (a refused credential), and the health with it. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn note_failure(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        failure: &Failure,
        status: Option<ConnectionStatus>,
    ) -> Result<connection::Model, StoreError> {
        let count = row.error_count.saturating_add(1);
        let stored = serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
            what: "connections.last_error",
            why: error.to_string(),
        })?;
        let change = connection::ActiveModel {
            status: Set(status.unwrap_or(row.status)),
            // A refusal is no matter of luck; anything else is for checks to judge.
            health: Set(if status.is_some() {
                Health::Failing
            } else {
                row.health
            }),
            error_count: Set(count),
            last_error: Set(Some(stored)),
            last_error_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        self.update_connection(tx, row, change).await
    }

    /// Work with the connection went well. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn note_success(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        synced: bool,
    ) -> Result<connection::Model, StoreError> {
        let now = self.clock().now();
        let mut change = connection::ActiveModel {
            error_count: Set(0),
            last_success_at: Set(Some(now)),
            ..Default::default()
        };
        if synced {
            change.last_synced_at = Set(Some(now));
        } else {
            change.last_checked_at = Set(Some(now));
        }
        self.update_connection(tx, row, change).await
    }

    /// The credential in force, which was refused before, works: the refusal was a passing
    /// mistake. The caller holds the row and unparks its jobs.
    ///
    /// # Errors
    /// The database.
    pub async fn restore_connection(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
    ) -> Result<connection::Model, StoreError> {
        let change = connection::ActiveModel {
            status: Set(ConnectionStatus::Active),
            health: Set(Health::Healthy),
            error_count: Set(0),
            last_success_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        let updated = self.update_connection(tx, row, change).await?;
        self.forget_outcomes(tx, row.id).await?;
        let event = NewEvent::new(row.org_id, EventKind::ConnectionActivated, "system")
            .connection(row.id)
            .data(json!({ "account": row.account_name, "by": "health_check" }));
        self.record_event(tx, event).await?;
        if let Some(why) = updated.health_reason() {
            self.tell_health(tx, row, &updated, Some(&why), "system")
                .await?;
        }
        Ok(updated)
    }
}
