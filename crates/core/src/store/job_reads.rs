//! What people read of jobs: one job, lists, logs, the pictures that progress
//! streams show, counts. Reads only; every move of a job is in [`super::jobs`].
//! The sealed arguments never leave through here.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
    prelude::Json,
    sea_query::{Expr, ExprTrait},
};

use super::{Store, StoreError, retry_policy::scope_of_kind};
use crate::{
    entities::{
        job::{Column, Entity},
        job_log,
    },
    ids::{ConnectionId, JobId, OrgId},
    job::{DEFAULT_MAX_ATTEMPTS, JobKind, JobState, Queue},
};

/// Ids asked for in one statement: far below the bind limits (SQLite 32,766, PostgreSQL 65,535).
const IDS_PER_STATEMENT: usize = 5_000;

/// A job without what only its worker needs (sealed arguments, cursor, lease).
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct JobPicture {
    /// The job.
    pub id: JobId,
    /// Whose; `None` for a job of the deployment.
    pub org_id: Option<OrgId>,
    /// The connection it works on.
    pub connection_id: Option<ConnectionId>,
    /// What it does.
    pub kind: JobKind,
    /// Who serves it.
    pub queue: Queue,
    /// Its lane.
    pub lane: Option<String>,
    /// Arguments, never secret.
    pub args: Json,
    /// Where it stands.
    pub state: JobState,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// Attempts burnt.
    pub attempt: i32,
    /// Attempts it has.
    pub max_attempts: i32,
    /// Deaths of its process that it is charged with.
    pub crashes: i32,
    /// Grows with every claim and cancel: orders two pictures of one job.
    pub lease_epoch: i64,
    /// It runs once more when it ends.
    pub again: bool,
    /// A [`crate::progress::Progress`], once it has any.
    pub progress: Option<Json>,
    /// Grows with every committed progress.
    pub progress_no: i64,
    /// What it came to.
    pub result: Option<Json>,
    /// The last [`crate::failure::Failure`].
    pub error: Option<Json>,
    /// Of one that failed: the provider of its connection, whose manifest says what that means.
    pub provider: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a body first ran.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When a person took it out of the dead-letter queue.
    pub discarded_at: Option<DateTime<Utc>>,
}

/// Which jobs of an org a list asks for; every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// In this queue.
    pub queue: Option<Queue>,
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Only the dead-letter queue: failed or quarantined, not discarded.
    pub dead: bool,
    /// Only of this group of the dead-letter queue.
    pub dead_group: Option<String>,
}

const DEAD: [JobState; 2] = [JobState::Failed, JobState::Quarantined];

/// Attempts a job has, as [`crate::retry::attempts_of`] says it when it fails.
const ATTEMPTS: &str = concat!(
    "case when jobs.max_attempts = 4 then coalesce((
        select p.max_retries + 1 from retry_policies p
        where p.org_id = jobs.org_id and p.scope = ",
    scope_of_kind!(),
    "), case ",
    scope_of_kind!(),
    " when 'webhooks' then 10 else 4 end)
    else jobs.max_attempts end"
);
const _: () = assert!(DEFAULT_MAX_ATTEMPTS == 4, "the statement says it in SQL");

/// Asked of those that failed only: most never do.
const PROVIDER: &str = "case when jobs.error is not null then
    (select c.provider from connections c where c.id = jobs.connection_id) end";

fn pictures() -> sea_orm::Select<Entity> {
    let own = Entity::find().select_only().columns([
        Column::Id,
        Column::OrgId,
        Column::ConnectionId,
        Column::Kind,
        Column::Queue,
        Column::Lane,
        Column::Args,
        Column::State,
        Column::RunAt,
        Column::Attempt,
        Column::Crashes,
        Column::LeaseEpoch,
        Column::Again,
        Column::Progress,
        Column::ProgressNo,
        Column::Result,
        Column::Error,
        Column::RequestedBy,
        Column::CreatedAt,
        Column::StartedAt,
        Column::FinishedAt,
        Column::DiscardedAt,
    ]);
    own.column_as(Expr::cust(ATTEMPTS), "max_attempts")
        .column_as(Expr::cust(PROVIDER), "provider")
}

impl Store {
    /// One job of the org.
    ///
    /// # Errors
    /// The database.
    pub async fn job(&self, org: OrgId, job: JobId) -> Result<Option<JobPicture>, StoreError> {
        let row = pictures()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Id.eq(job))
            .into_model()
            .one(self.db());
        Ok(row.await?)
    }

    /// Jobs of the org by id, in the order asked for; ids of others fall away.
    ///
    /// # Errors
    /// The database.
    pub async fn jobs_by_id(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        ids: &[JobId],
    ) -> Result<Vec<JobPicture>, StoreError> {
        let mut found: Vec<JobPicture> = pictures()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Id.is_in(ids.iter().copied()))
            .into_model()
            .all(db)
            .await?;
        found.sort_by_key(|job| ids.iter().position(|id| *id == job.id));
        Ok(found)
    }

    /// At most `limit` jobs of the org, newest first, older than `before`.
    ///
    /// # Errors
    /// The database.
    pub async fn jobs_page(
        &self,
        org: OrgId,
        filter: &JobFilter,
        before: Option<JobId>,
        limit: u64,
    ) -> Result<Vec<JobPicture>, StoreError> {
        let mut wanted = Condition::all()
            .add(Column::OrgId.eq(org))
            .add_option(filter.state.map(|state| Column::State.eq(state)))
            .add_option(filter.kind.map(|kind| Column::Kind.eq(kind)))
            .add_option(filter.queue.map(|queue| Column::Queue.eq(queue)))
            .add_option(
                filter
                    .connection
                    .map(|connection| Column::ConnectionId.eq(connection)),
            )
            .add_option(before.map(|id| Column::Id.lt(id)))
            .add_option(
                filter
                    .dead_group
                    .as_ref()
                    .map(|group| Expr::col("dead_group").eq(group.as_str())),
            );
        if filter.dead || filter.dead_group.is_some() {
            wanted = wanted
                .add(Column::State.is_in(DEAD))
                .add(Column::DiscardedAt.is_null());
        }
        let rows = pictures()
            .filter(wanted)
            .order_by_desc(Column::Id)
            .limit(limit)
            .into_model()
            .all(self.db());
        Ok(rows.await?)
    }

    /// What progress streams show of jobs they already may see. Asked once for all
    /// watched jobs, whatever their org: the caller has checked each when it was subscribed.
    ///
    /// # Errors
    /// The database.
    pub async fn job_pictures(&self, ids: &[JobId]) -> Result<Vec<JobPicture>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS_PER_STATEMENT) {
            let mut rows: Vec<JobPicture> = pictures()
                .filter(Column::Id.is_in(some.iter().copied()))
                .into_model()
                .all(self.db())
                .await?;
            found.append(&mut rows);
        }
        Ok(found)
    }

    /// Jobs of the org that have not ended: running ones first, then the newest.
    ///
    /// # Errors
    /// The database.
    pub async fn jobs_active(&self, org: OrgId, limit: u64) -> Result<Vec<JobPicture>, StoreError> {
        let running: Vec<JobPicture> = pictures()
            .filter(Column::OrgId.eq(org))
            .filter(Column::State.eq(JobState::Running))
            .order_by_desc(Column::Id)
            .limit(limit)
            .into_model()
            .all(self.db())
            .await?;
        let room = limit.saturating_sub(running.len() as u64);
        let waiting: Vec<JobPicture> = pictures()
            .filter(Column::OrgId.eq(org))
            .filter(Column::State.is_in([JobState::Queued, JobState::Parked]))
            .order_by_desc(Column::Id)
            .limit(room)
            .into_model()
            .all(self.db())
            .await?;
        Ok(running.into_iter().chain(waiting).collect())
    }

    /// Log lines of a job after `after`, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn job_logs_page(
        &self,
        job: JobId,
        after: i64,
        limit: u64,
    ) -> Result<Vec<job_log::Model>, StoreError> {
        let rows = job_log::Entity::find()
            .filter(job_log::Column::JobId.eq(job))
            .filter(job_log::Column::Seq.gt(after))
            .order_by_asc(job_log::Column::Seq)
            .limit(limit)
            .all(self.db());
        Ok(rows.await?)
    }
}
