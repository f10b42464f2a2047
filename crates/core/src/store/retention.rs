//! What is forgotten by age, a batch at a time so that locks are short. Ended jobs
//! themselves are the job protocol's to delete ([`super::jobs::JobStore::prune`]).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, LockBehavior, LockType},
};
use serde_json::json;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::{
    entities::{event, health_check, job, job_log, retention_mark, schedule_tick},
    ids::{EventId, HealthCheckId},
    job::JobState,
};

/// The mark of [`Store::empty_payloads`].
const PAYLOADS: &str = "job_payloads";

impl Store {
    /// Deletes at most `limit` lines of the activity log that are older than `kept`.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_events(&self, kept: Duration, limit: u64) -> Result<u64, StoreError> {
        use event::{Column, Entity};
        // Ids carry their time, so the primary key is the index by age.
        let old = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.lt(EventId(self.first_id_after(kept).await?)))
            .order_by_asc(Column::Id)
            .limit(limit);
        let deleted = Entity::delete_many()
            .filter(Column::Id.in_subquery(old.into_query()))
            .exec(self.db())
            .await?;
        Ok(deleted.rows_affected)
    }

    /// The same of the health log.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_health_log(&self, kept: Duration, limit: u64) -> Result<u64, StoreError> {
        use health_check::{Column, Entity};
        let old = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.lt(HealthCheckId(self.first_id_after(kept).await?)))
            .order_by_asc(Column::Id)
            .limit(limit);
        let deleted = Entity::delete_many()
            .filter(Column::Id.in_subquery(old.into_query()))
            .exec(self.db())
            .await?;
        Ok(deleted.rows_affected)
    }

    /// The same of what became of schedules' ticks.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_ticks(&self, kept: Duration, limit: u64) -> Result<u64, StoreError> {
        use schedule_tick::{Column, Entity};
        let before = self.jobs().now().await? - span(kept);
        let old = Entity::find()
            .select_only()
            .columns([Column::ScheduleId, Column::Tick])
            .filter(Column::At.lt(before))
            .order_by_asc(Column::At)
            .limit(limit);
        let key = [Column::ScheduleId, Column::Tick].map(Expr::col);
        let deleted = Entity::delete_many()
            .filter(sea_orm::sea_query::ExprTrait::in_subquery(
                Expr::tuple(key),
                old.into_query(),
            ))
            .exec(self.db())
            .await?;
        Ok(deleted.rows_affected)
    }

    /// Empties arguments, results, positions and log lines of jobs that succeeded, were
    /// cancelled or discarded longer than `kept` ago; their rows stay. Goes through them
    /// once, by the time of their end, about `limit` at a time: call again while it is at
    /// least that. Zero also where another scheduler is at it.
    ///
    /// # Errors
    /// The database.
    pub async fn empty_payloads(&self, kept: Duration, limit: u64) -> Result<u64, StoreError> {
        let before = self.jobs().now().await? - span(kept);
        let tx = self.begin().await?;
        let Some(from) = mark(&tx).await? else {
            return Ok(0);
        };
        if from >= before {
            return Ok(0);
        }
        // Up to the end of the last of so many; jobs that ended with it in one statement
        // come along.
        let last: Option<DateTime<Utc>> = ended(from, before)
            .select_only()
            .column(job::Column::FinishedAt)
            .order_by_asc(job::Column::FinishedAt)
            .offset(limit.saturating_sub(1))
            .limit(1)
            .into_tuple()
            .one(&tx)
            .await?;
        let to = last.unwrap_or(before);
        let of_these = ended(from, to)
            .select_only()
            .column(job::Column::Id)
            .into_query();
        job_log::Entity::delete_many()
            .filter(job_log::Column::JobId.in_subquery(of_these.clone()))
            .exec(&tx)
            .await?;
        let emptied = job::Entity::update_many()
            .set(job::ActiveModel {
                args: Set(json!({})),
                progress: Set(None),
                cursor: Set(None),
                result: Set(None),
                trace_context: Set(None),
                ..Default::default()
            })
            .filter(job::Column::Id.in_subquery(of_these))
            .exec(&tx)
            .await?;
        retention_mark::Entity::update_many()
            .set(retention_mark::ActiveModel {
                until: Set(to),
                ..Default::default()
            })
            .filter(retention_mark::Column::What.eq(PAYLOADS))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(emptied.rows_affected)
    }

    /// The smallest id that a row made within `kept` can have (RFC 9562, section 5.7: the
    /// first 48 bits are the milliseconds since 1970).
    async fn first_id_after(&self, kept: Duration) -> Result<Uuid, StoreError> {
        let before = self.jobs().now().await? - span(kept);
        let millis = u64::try_from(before.timestamp_millis()).unwrap_or(0);
        Ok(Uuid::from_u64_pair(millis << 16, 0))
    }
}

/// Jobs that ended after `from` and not after `to`, and that nobody will send back to work.
fn ended(from: DateTime<Utc>, to: DateTime<Utc>) -> sea_orm::Select<job::Entity> {
    use job::Column;
    job::Entity::find()
        .filter(
            Condition::any()
                .add(Column::State.is_in([JobState::Succeeded, JobState::Cancelled]))
                .add(Column::DiscardedAt.is_not_null()),
        )
        .filter(Column::FinishedAt.gt(from))
        .filter(Column::FinishedAt.lte(to))
}

/// How far payloads are emptied; `None` while another scheduler is at it.
async fn mark(tx: &DatabaseTransaction) -> Result<Option<DateTime<Utc>>, StoreError> {
    use retention_mark::{Column, Entity};
    let first = Entity::insert(retention_mark::ActiveModel {
        what: Set(PAYLOADS.to_owned()),
        until: Set(DateTime::UNIX_EPOCH),
    })
    .on_conflict(
        sea_orm::sea_query::OnConflict::column(Column::What)
            .do_nothing()
            .to_owned(),
    );
    first.exec_without_returning(tx).await?;
    let row = Entity::find()
        .filter(Column::What.eq(PAYLOADS))
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .one(tx)
        .await?;
    Ok(row.map(|row| row.until))
}

fn span(kept: Duration) -> TimeDelta {
    TimeDelta::from_std(kept).unwrap_or(TimeDelta::days(36_500))
}
