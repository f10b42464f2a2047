//! What is old goes: counts of days, batches that are done. Lines of the log go with the
//! other retention.

use std::time::Duration;

use chrono::NaiveDate;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{Store, StoreError, on_postgres, postgres};
use crate::{
    entities::{health_day, job},
    ids::JobId,
    job::{JobKind, JobState},
};

/// `$1`: those that ended longer ago than so many milliseconds, `$2` at most.
const BATCHES: &str = "
    delete from jobs where id = any(array(
        select id from jobs
        where kind = 'health_batch' and org_id is null and state = 'succeeded'
          and finished_at < (select patchbay_now()) - $1 * interval '1 millisecond'
        order by finished_at limit $2
        for update skip locked))";

impl Store {
    /// Deletes the counts of at most `limit` connection days before a day. Answers how many:
    /// call again while it is `limit`.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_health_days(
        &self,
        before: NaiveDate,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let rows: Vec<(crate::ids::ConnectionId, NaiveDate)> = health_day::Entity::find()
            .select_only()
            .columns([health_day::Column::ConnectionId, health_day::Column::Day])
            .filter(health_day::Column::Day.lt(before))
            .order_by_asc(health_day::Column::Day)
            .limit(limit)
            .into_tuple()
            .all(self.db())
            .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut of_day = std::collections::BTreeMap::<NaiveDate, Vec<_>>::new();
        for (connection, day) in rows {
            of_day.entry(day).or_default().push(connection);
        }
        let mut deleted = 0;
        for (day, connections) in of_day {
            let gone = health_day::Entity::delete_many()
                .filter(
                    Condition::all()
                        .add(health_day::Column::Day.eq(day))
                        .add(health_day::Column::ConnectionId.is_in(connections)),
                )
                .exec(self.db())
                .await?;
            deleted += gone.rows_affected;
        }
        Ok(deleted)
    }

    /// Deletes at most `limit` batches of the clock's checks that ended well longer ago than
    /// `older_than`: what they found is with the connections, and there are very many of them.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_health_batches(
        &self,
        older_than: Duration,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let milliseconds = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        if on_postgres(self.db()) {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let deleted = self
                .db()
                .execute_raw(postgres(BATCHES, [milliseconds.into(), limit.into()]))
                .await?;
            return Ok(deleted.rows_affected());
        }
        use job::Column;
        let before = self.clock().now() - chrono::TimeDelta::milliseconds(milliseconds);
        let ids: Vec<JobId> = job::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Kind.eq(JobKind::HealthBatch))
            .filter(Column::OrgId.is_null())
            .filter(Column::State.eq(JobState::Succeeded))
            .filter(Column::FinishedAt.lt(before))
            .order_by_asc(Column::FinishedAt)
            .limit(limit)
            .into_tuple()
            .all(self.db())
            .await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let deleted = job::Entity::delete_many()
            .filter(Column::Id.is_in(ids))
            .exec(self.db())
            .await?;
        Ok(deleted.rows_affected)
    }
}
