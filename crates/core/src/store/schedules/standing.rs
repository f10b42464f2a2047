//! What of a connection decides whether its schedules make jobs.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect};
use serde_json::Value;

use crate::{
    connection::ConnectionStatus,
    entities::connection::{Column, Entity},
    ids::ConnectionId,
    store::{Store, StoreError},
};

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its status.
    pub status: ConnectionStatus,
    /// Its capabilities that are switched off, a list of keys.
    pub capabilities_off: Value,
}

impl Store {
    /// Where these connections stand. The caller has found them through their schedules.
    ///
    /// # Errors
    /// The database.
    pub async fn standings(
        &self,
        db: &impl ConnectionTrait,
        connections: impl IntoIterator<Item = ConnectionId>,
    ) -> Result<HashMap<ConnectionId, Standing>, StoreError> {
        let ids = connections.into_iter().map(|id| id.0);
        let is_one_of_them = match self.db().get_database_backend() {
            DbBackend::Sqlite => Column::Id.is_in(ids),
            // One array: the statement is the same for every number of them.
            _ => Column::Id.eq_any(ids),
        };
        let rows: Vec<(ConnectionId, ConnectionStatus, Value)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::Status, Column::CapabilitiesOff])
            .filter(is_one_of_them)
            .into_tuple()
            .all(db)
            .await?;
        let standing = |(id, status, capabilities_off)| {
            let standing = Standing {
                status,
                capabilities_off,
            };
            (id, standing)
        };
        Ok(rows.into_iter().map(standing).collect())
    }
}
