//! What a consent needs of connections: the one of an account, one that comes back, and one
//! that was granted less than it wants.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};
use serde_json::json;

use super::is_unique_violation;
use crate::{
    connection::{ConnectionStatus, Shortfall},
    entities::connection,
    failure::Failure,
    ids::OrgId,
    store::{Store, StoreError},
};

impl Store {
    /// The connection of an account: the live one, else the one disconnected last.
    ///
    /// # Errors
    /// The database.
    pub async fn connection_of_account(
        &self,
        org: OrgId,
        provider: &str,
        account_key: &str,
    ) -> Result<Option<connection::Model>, StoreError> {
        let rows = connection::Entity::find()
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Provider.eq(provider))
            .filter(connection::Column::AccountKey.eq(account_key))
            .order_by_asc(connection::Column::DisconnectedAt)
            .all(self.db())
            .await?;
        let is_live = |row: &&connection::Model| row.status != ConnectionStatus::Disconnected;
        let live = rows.iter().find(is_live).cloned();
        Ok(live.or_else(|| rows.into_iter().next_back()))
    }

    /// Brings a disconnected connection back, untested: its records and cursors are as they
    /// were. The caller holds the row. `None`: the org has another one of this exclusive
    /// provider; the transaction can only be rolled back then.
    ///
    /// # Errors
    /// The database.
    pub async fn bring_back_connection(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
    ) -> Result<Option<connection::Model>, StoreError> {
        let change = connection::ActiveModel {
            status: Set(ConnectionStatus::Pending),
            disconnected_at: Set(None),
            ..Default::default()
        };
        match self.update_connection(tx, row, change).await {
            Ok(row) => Ok(Some(row)),
            Err(StoreError::Database(error)) if is_unique_violation(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the account did not grant, or took back: these capabilities do not work, each for
    /// want of its scopes; none where all is granted. The connection is shown as degraded until
    /// they are granted or switched off, whatever its checks say. The failure says what
    /// happened, where something was lost. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn set_refused(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        refused: &Shortfall,
        failure: Option<&Failure>,
    ) -> Result<connection::Model, StoreError> {
        let refused = json!(refused);
        if refused == row.capabilities_refused && failure.is_none() {
            return Ok(row.clone());
        }
        let mut change = connection::ActiveModel {
            capabilities_refused: Set(refused),
            ..Default::default()
        };
        if let Some(failure) = failure {
            let stored = serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
                what: "connections.last_error",
                why: error.to_string(),
            })?;
            change.last_error = Set(Some(stored));
            change.last_error_at = Set(Some(self.clock().now()));
        }
        let updated = self.update_connection(tx, row, change).await?;
        self.tell_health(tx, row, &updated, failure, "system")
            .await?;
        Ok(updated)
    }
}
