//! The health log: one line per check of a connection.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{Store, StoreError};
use crate::{
    entities::health_check,
    failure::Failure,
    ids::{ConnectionId, HealthCheckId, OrgId},
};

/// A check that was made.
#[derive(Debug, Clone)]
pub struct NewHealthCheck {
    /// Whose.
    pub org: OrgId,
    /// What was checked.
    pub connection: ConnectionId,
    /// `manual`, `scheduled` or `auto`.
    pub kind: &'static str,
    /// How long the provider took, in milliseconds.
    pub response_ms: i32,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
}

impl Store {
    /// Writes a check in the caller's transaction.
    ///
    /// # Errors
    /// The database.
    pub async fn record_health_check(
        &self,
        tx: &DatabaseTransaction,
        check: NewHealthCheck,
    ) -> Result<HealthCheckId, StoreError> {
        let id = HealthCheckId::new(self.clock());
        let (kind, message) = match &check.failure {
            Some(failure) => (
                Some(failure.kind.name().to_owned()),
                Some(failure.message.clone()),
            ),
            None => (None, None),
        };
        health_check::Entity::insert(health_check::ActiveModel {
            id: Set(id),
            org_id: Set(check.org),
            connection_id: Set(check.connection),
            kind: Set(check.kind.to_owned()),
            ok: Set(check.failure.is_none()),
            response_ms: Set(check.response_ms),
            error_kind: Set(kind),
            message: Set(message),
            at: Set(self.clock().now()),
        })
        .exec_without_returning(tx)
        .await?;
        Ok(id)
    }

    /// The last checks of a connection, newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn health_checks(
        &self,
        org: OrgId,
        connection: ConnectionId,
        limit: u64,
    ) -> Result<Vec<health_check::Model>, StoreError> {
        Ok(health_check::Entity::find()
            .filter(health_check::Column::OrgId.eq(org))
            .filter(health_check::Column::ConnectionId.eq(connection))
            .order_by_desc(health_check::Column::Id)
            .limit(limit)
            .all(self.db())
            .await?)
    }
}
