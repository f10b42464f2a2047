//! How far behind the schedules are: for the reports of schedulers and for alerts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    entities::schedule::{Column, Entity},
    ids::{ConnectionId, OrgId, ScheduleId},
    store::{Store, StoreError},
};

/// A schedule whose tick waits.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct LateSchedule {
    /// Which.
    pub id: ScheduleId,
    /// Whose.
    pub org_id: OrgId,
    /// Its connection.
    pub connection_id: ConnectionId,
    /// When the tick was due.
    pub next_at: DateTime<Utc>,
}

impl Store {
    /// How long the oldest due tick of the deployment has waited; zero where none is due.
    /// Reads one row.
    ///
    /// # Errors
    /// The database.
    pub async fn schedule_lag(&self) -> Result<Duration, StoreError> {
        let now = self.jobs().now().await?;
        let oldest = self.late(now, 1).await?;
        let waited = oldest.first().map(|late| now - late.next_at);
        Ok(waited
            .and_then(|waited| waited.to_std().ok())
            .unwrap_or_default())
    }

    /// Schedules whose tick has waited for longer than `behind`, the longest first, at most
    /// `limit`: what an alert names.
    ///
    /// # Errors
    /// The database.
    pub async fn late_schedules(
        &self,
        behind: Duration,
        limit: u64,
    ) -> Result<Vec<LateSchedule>, StoreError> {
        let behind = TimeDelta::from_std(behind).unwrap_or(TimeDelta::MAX);
        let now = self.jobs().now().await?;
        match now.checked_sub_signed(behind) {
            Some(due_before) => self.late(due_before, limit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn late(
        &self,
        due_before: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<LateSchedule>, StoreError> {
        Ok(Entity::find()
            .select_only()
            .columns([
                Column::Id,
                Column::OrgId,
                Column::ConnectionId,
                Column::NextAt,
            ])
            .filter(Column::PausedAt.is_null())
            .filter(Column::NextAt.is_not_null())
            .filter(Column::NextAt.lt(due_before))
            .order_by_asc(Column::NextAt)
            .limit(limit)
            .into_model()
            .all(self.db())
            .await?)
    }
}
