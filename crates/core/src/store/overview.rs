//! Counts over an org, for its front page.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, JsonValue as Json, QueryFilter,
    QuerySelect,
};

use super::{Store, StoreError};
use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, job},
    health::shown::{in_want, shown_health},
    ids::OrgId,
    job::{JobState, Queue},
};

/// Jobs of an org in one queue and state.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct JobCount {
    /// The queue.
    pub queue: Queue,
    /// The state.
    pub state: JobState,
    /// How many.
    pub jobs: i64,
}

impl Store {
    /// Jobs of the org that have not ended, and its dead-letter queue, by queue and state.
    ///
    /// # Errors
    /// The database.
    pub async fn job_counts(&self, org: OrgId) -> Result<Vec<JobCount>, StoreError> {
        use job::Column;
        let open = Column::State.is_in([JobState::Queued, JobState::Parked, JobState::Running]);
        let dead = Condition::all()
            .add(Column::State.is_in([JobState::Failed, JobState::Quarantined]))
            .add(Column::DiscardedAt.is_null());
        let rows = job::Entity::find()
            .select_only()
            .columns([Column::Queue, Column::State])
            .column_as(Column::Id.count(), "jobs")
            .filter(Column::OrgId.eq(org))
            .filter(Condition::any().add(open).add(dead))
            .group_by(Column::Queue)
            .group_by(Column::State)
            .into_model()
            .all(self.db());
        Ok(rows.await?)
    }

    /// Connections of the org by status and the health that is shown.
    ///
    /// # Errors
    /// The database.
    pub async fn connection_counts(
        &self,
        org: OrgId,
    ) -> Result<Vec<(ConnectionStatus, Health, i64)>, StoreError> {
        use connection::Column;
        let mut groups: BTreeMap<(ConnectionStatus, Health), i64> = BTreeMap::new();
        // What was refused and what is switched off are few different texts.
        let rows: Vec<(ConnectionStatus, Health, Json, Json, i64)> = connection::Entity::find()
            .select_only()
            .columns([
                Column::Status,
                Column::Health,
                Column::CapabilitiesRefused,
                Column::CapabilitiesOff,
            ])
            .column_as(Column::Id.count(), "connections")
            .filter(Column::OrgId.eq(org))
            .group_by(Column::Status)
            .group_by(Column::Health)
            .group_by(Column::CapabilitiesRefused)
            .group_by(Column::CapabilitiesOff)
            .into_tuple()
            .all(self.db())
            .await?;
        for (status, checked, refused, off, count) in rows {
            let shown = shown_health(checked, &in_want(&refused, &off));
            *groups.entry((status, shown)).or_default() += count;
        }
        let counts = groups.into_iter();
        Ok(counts
            .map(|((status, health), count)| (status, health, count))
            .collect())
    }
}
