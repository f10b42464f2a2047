//! The job protocol as statements: every move of a job, each guarded so that
//! it cannot happen twice or by the wrong hands. The states and legal moves are
//! on one page in `docs/job-states.md`; the database refuses all others.
//!
//! Two implementations, `postgres` and `sqlite`, answer one conformance suite.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend};

use super::StoreError;
use crate::{
    clock::Clock,
    entities::job::Model as Job,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{Enqueued, Lease, NewJob, Queue, Settlement},
    progress::Progress,
};

mod columns;
mod died;
mod ending;
mod kinds;
mod order;
mod postgres;
mod sqlite;

/// A process is dead when its lease has not been renewed for this long.
pub const LEASE: Duration = Duration::from_secs(6);

/// A claim's reply that has not come for this long never will.
pub const STRAY_AFTER: Duration = Duration::from_secs(10);

/// What a renewal told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// False: this process was declared dead; it must stop its bodies and start
    /// again under a new id.
    pub alive: bool,
    /// Of the leases held: those that are ours no more (cancelled, taken over).
    pub lost: Vec<Lease>,
}

/// What a settlement came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The job.
    pub job: JobId,
    /// Its state now.
    pub state: crate::job::JobState,
    /// Its successor, where `again` was set.
    pub successor: Option<JobId>,
}

/// Jobs taken back from dead processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Queued again.
    pub requeued: Vec<JobId>,
    /// Died three times; set aside.
    pub quarantined: Vec<JobId>,
}

/// A due job, as a hint needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Due {
    /// The job.
    pub job: JobId,
    /// Whose turn it is: the org, or [`OrgId::DEPLOYMENT`].
    pub turn: OrgId,
}

/// What became of a person's wish about a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Moved {
    /// Done; the row as it is now.
    Done(Box<Job>),
    /// Its state does not allow it; the row as it is.
    Refused(Box<Job>),
    /// No such job in this org.
    Missing,
}

/// The statements of the job protocol (docs/job-states.md). Methods that take a
/// transaction act in it and leave the commit to the caller.
#[async_trait]
pub trait JobStore: Send + Sync + fmt::Debug {
    /// The protocol's present time.
    async fn now(&self) -> Result<DateTime<Utc>, StoreError>;

    /// Step 1. Inserts jobs in the caller's transaction, one answer per job in order.
    async fn enqueue(
        &self,
        tx: &DatabaseTransaction,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, StoreError>;

    /// Step 3, from hints. Claims those of `ids` that are queued, due, first of a free lane
    /// and of a kind that this version knows, if `me` holds a live lease. Ids that do not
    /// qualify fall away; so do those that are to run alone.
    async fn claim(
        &self,
        me: ProcessId,
        queue: Queue,
        ids: &[JobId],
    ) -> Result<Vec<Job>, StoreError>;

    /// Step 3, without hints. Claims at most `limit` jobs that may run, one org after the
    /// other in turns that begin after `after`, passing over the orgs in `skip`.
    async fn claim_due(
        &self,
        me: ProcessId,
        queue: Queue,
        limit: usize,
        after: OrgId,
        skip: &[OrgId],
    ) -> Result<Vec<Job>, StoreError>;

    /// Step 3, for a job that is to run alone (it has been charged with
    /// [`CRASHES_TO_RUN_ALONE`](crate::job::CRASHES_TO_RUN_ALONE) deaths). Says which one of
    /// these queues `me` is to make room for, or runs already: one process for a job, one job
    /// for a process, and none is begun with while half of the living workers make room. From
    /// now on until [`leave_room`](JobStore::leave_room) it claims nothing else. `None`: none
    /// waits, and no room is made any more.
    async fn make_room(&self, me: ProcessId, queues: &[Queue])
    -> Result<Option<JobId>, StoreError>;

    /// Claims the job that `me` makes room for, once it holds no other. The caller knows that
    /// no body runs any more either, also none whose lease is lost.
    async fn claim_alone(&self, me: ProcessId, queues: &[Queue])
    -> Result<Option<Job>, StoreError>;

    /// The room is everyone's again.
    async fn leave_room(&self, me: ProcessId) -> Result<(), StoreError>;

    /// Due jobs of known kinds for hints: at most `per_turn` of each org, at most `limit` in all,
    /// orgs in turn beginning after `after`. Where there are many orgs, fewer of each.
    async fn due(
        &self,
        queue: Queue,
        per_turn: usize,
        limit: usize,
        after: OrgId,
    ) -> Result<Vec<Due>, StoreError>;

    /// Step 4. Registers a process with a fresh lease.
    async fn register(&self, me: ProcessId, kind: &str, host: &str) -> Result<(), StoreError>;

    /// Step 4. Renews the lease and names the leases of `held` that are lost. Jobs that
    /// were claimed longer than [`STRAY_AFTER`] ago and are not in `held` are queued
    /// again: `held` must name every job whose end is not known to be settled.
    async fn renew(&self, me: ProcessId, held: &[Lease]) -> Result<Renewal, StoreError>;

    /// Ends a process gracefully: its unfinished jobs go back to `queued`, uncharged.
    async fn leave(&self, me: ProcessId) -> Result<Vec<JobId>, StoreError>;

    /// Step 5. Locks the row for the caller's transaction. False: not ours any more,
    /// nothing may be written.
    async fn fence(&self, tx: &DatabaseTransaction, lease: Lease) -> Result<bool, StoreError>;

    /// Within a fenced transaction: progress (committed progress clears `crashes`) and
    /// the job's own cursor. `progress_no` grows by one.
    async fn checkpoint(
        &self,
        tx: &DatabaseTransaction,
        lease: Lease,
        progress: &Progress,
        cursor: Option<&serde_json::Value>,
    ) -> Result<(), StoreError>;

    /// Step 7. Ends many leases in one statement, in id order. Leases that are not
    /// ours any more are left out of the answer.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError>;

    /// The same for one lease, in the caller's transaction. `None`: not ours any more.
    async fn settle_in(
        &self,
        tx: &DatabaseTransaction,
        settlement: &Settlement,
    ) -> Result<Option<Settled>, StoreError>;

    /// Step 8. Takes back the jobs of processes that are dead by the database's clock, and
    /// writes the event of each quarantine with it.
    /// SQLite: of every process but `me` (the lock on the data folder proves them dead).
    async fn rescue(&self, me: ProcessId) -> Result<Rescued, StoreError>;

    /// Step 11. Queued, parked and running jobs become cancelled; a running one's
    /// epoch moves, so that its body cannot write any more.
    async fn cancel(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError>;

    /// Failed and quarantined jobs go back to queued, counters reset, same id. Refused
    /// where the job's sealed arguments are gone, or another job of its key is open; that
    /// one may come in between, so after a refusal the transaction can only be rolled back.
    async fn retry(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError>;

    /// Takes a dead job out of the dead-letter queue.
    async fn discard(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError>;

    /// Step 10. Queued jobs of a connection become parked.
    async fn park_queued(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Step 10. Parked jobs of a connection become queued; hint them after the commit.
    async fn unpark(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
    ) -> Result<Vec<Due>, StoreError>;

    /// Appends log lines of a job; keeps at most the newest [`LOG_LINES_KEPT`].
    async fn append_logs(&self, job: JobId, lines: Vec<LogLine>) -> Result<(), StoreError>;

    /// Retention. Deletes at most `limit` succeeded, cancelled and discarded jobs that
    /// ended longer than `older_than` ago, empties the sealed arguments of jobs that
    /// died longer than [`SEALED_KEPT_AFTER_DEATH`] ago, and forgets processes that
    /// ended that long ago. Answers how many jobs were deleted: call again while it is `limit`.
    async fn prune(&self, older_than: Duration, limit: u64) -> Result<u64, StoreError>;
}

/// How long a dead job keeps its sealed arguments, so that a person can retry it.
pub const SEALED_KEPT_AFTER_DEATH: Duration = Duration::from_secs(24 * 3600);

/// A body past its deadline is its worker's to stop; the rescue takes the job back when
/// that has not happened for this long.
pub const DEADLINE_GRACE: Duration = Duration::from_secs(60);

/// Log lines kept of one job.
pub const LOG_LINES_KEPT: i64 = 1_000;

/// One log line of a job, already scrubbed of secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Which attempt wrote it, from 1.
    pub attempt: i32,
    /// What happened.
    pub message: String,
    /// Structured fields.
    pub fields: serde_json::Value,
}

/// The statements for the connected database.
pub(super) fn of(db: &DatabaseConnection, clock: &Arc<dyn Clock>) -> Arc<dyn JobStore> {
    match db.get_database_backend() {
        DbBackend::Sqlite => Arc::new(sqlite::SqliteJobs::new(db.clone(), Arc::clone(clock))),
        // A third database cannot be connected to: `sea-orm` is built with these two.
        _ => Arc::new(postgres::PostgresJobs::new(db.clone(), Arc::clone(clock))),
    }
}
