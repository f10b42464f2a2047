//! The health log: a line for each check that failed, changed the health or was asked for by
//! a person.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use chrono::{DateTime, Utc};

use super::{CheckResult, Store, StoreError, record::stored};
use crate::{
    connection::Health,
    entities::health_check,
    ids::{ConnectionId, HealthCheckId, OrgId},
};

/// A line to be written.
pub(super) struct Line {
    pub result: CheckResult,
    pub health: Health,
}

impl Store {
    pub(super) async fn write_log(
        &self,
        tx: &DatabaseTransaction,
        lines: Vec<Line>,
    ) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(lines.len());
        for Line { result, health } in lines {
            let mut failure = result.failure;
            let kind = failure
                .as_ref()
                .map(|failure| failure.kind.name().to_owned());
            // The provider's own words, the same in every line, are with its manifest.
            if let Some(failure) = &mut failure {
                failure.impact = None;
            }
            rows.push(health_check::ActiveModel {
                id: Set(HealthCheckId::new(self.clock())),
                org_id: Set(result.org),
                connection_id: Set(result.connection),
                kind: Set(result.reason.name().to_owned()),
                ok: Set(failure.is_none()),
                response_ms: Set(i32::try_from(result.response_ms).unwrap_or(i32::MAX)),
                error_kind: Set(kind),
                message: Set(None),
                at: Set(result.at),
                failure: Set(failure.as_ref().map(stored).transpose()?),
                health: Set(Some(health)),
            });
        }
        health_check::Entity::insert_many(rows)
            .exec_without_returning(tx)
            .await?;
        Ok(())
    }

    /// Failed checks of a connection since a time, newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn failed_checks(
        &self,
        org: OrgId,
        connection: ConnectionId,
        since: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<health_check::Model>, StoreError> {
        use health_check::Column;
        Ok(health_check::Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::Ok.eq(false))
            .filter(Column::At.gte(since))
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(self.db())
            .await?)
    }

    /// The health log of a connection, newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn health_log(
        &self,
        org: OrgId,
        connection: ConnectionId,
        limit: u64,
    ) -> Result<Vec<health_check::Model>, StoreError> {
        use health_check::Column;
        Ok(health_check::Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::ConnectionId.eq(connection))
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(self.db())
            .await?)
    }
}
