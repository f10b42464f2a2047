//! Counts over an org, for its front page.

use sea_orm::{ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QuerySelect};

use super::{Store, StoreError};
use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, job},
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

    /// Connections of the org by status and health.
    ///
    /// # Errors
    /// The database.
    pub async fn connection_counts(
        &self,
        org: OrgId,
    ) -> Result<Vec<(ConnectionStatus, Health, i64)>, StoreError> {
        use connection::Column;
        let rows = connection::Entity::find()
            .select_only()
            .columns([Column::Status, Column::Health])
            .column_as(Column::Id.count(), "connections")
            .filter(Column::OrgId.eq(org))
            .group_by(Column::Status)
            .group_by(Column::Health)
            .into_tuple()
            .all(self.db());
        Ok(rows.await?)
    }
}
