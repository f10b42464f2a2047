//! The job protocol on SQLite: one process owns the file, and every move happens in an
//! immediate transaction, so moves take turns and need no locks of rows. A batch is a
//! loop of small statements: there is no network between, and each sees what the one
//! before wrote. The time is the `Clock`'s, read once the transaction has begun.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, FromQueryResult,
    QueryResult, Statement, Value,
};

use super::{
    Due, JobStore, LogLine, Moved, Renewal, Rescued, Settled, StoreError, kinds, order::GrowingIds,
};
use crate::{
    clock::Clock,
    entities::job::Model as Job,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{Enqueued, Lease, NewJob, Queue, Settlement},
    progress::Progress,
    store::begin,
};

mod alone;
mod claim;
mod due;
mod enqueue;
mod lease;
mod logs;
mod moves;
mod park;
mod prune;
mod rescue;
mod settle;

/// Job statements of SQLite.
#[derive(Debug)]
pub(super) struct SqliteJobs {
    db: DatabaseConnection,
    clock: Arc<dyn Clock>,
    ids: GrowingIds,
    /// Registered by this process of the operating system. The lock on the data folder
    /// proves that all others are dead, whatever their leases say.
    ours: Mutex<HashSet<ProcessId>>,
}

impl SqliteJobs {
    pub(super) fn new(db: DatabaseConnection, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            clock,
            ids: GrowingIds::new(),
            ours: Mutex::new(HashSet::new()),
        }
    }

    /// To the microsecond, as PostgreSQL keeps it.
    fn time(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    fn ours(&self) -> HashSet<ProcessId> {
        // A set of ids is whole at any moment, also after a panic elsewhere.
        self.ours
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

/// The time after a delay; one too long to be a date is as good as never.
fn after(now: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay)
        .ok()
        .and_then(|delay| now.checked_add_signed(delay))
        .unwrap_or(FAR)
}

/// The time before a delay.
fn before(now: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay)
        .ok()
        .and_then(|delay| now.checked_sub_signed(delay))
        .unwrap_or(DateTime::UNIX_EPOCH)
}

/// The end of the year 9999: times are compared as text, and a fifth digit would sort first.
const FAR: DateTime<Utc> = DateTime::from_timestamp(253_402_300_799, 0).expect("a valid time");

/// The kinds that this version can run, as a JSON array: SQLite has no other list.
fn known_kinds() -> String {
    serde_json::Value::from(kinds::known()).to_string()
}

async fn rows(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    Ok(db.query_all_raw(statement(sql, values)).await?)
}

/// Runs a statement and answers how many rows it changed.
async fn run(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, StoreError> {
    Ok(db
        .execute_raw(statement(sql, values))
        .await?
        .rows_affected())
}

async fn one_job(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<Job>, StoreError> {
    let row = db.query_one_raw(statement(sql, values)).await?;
    Ok(row
        .map(|row| Job::from_query_result(&row, ""))
        .transpose()?)
}

async fn job_ids(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<JobId>, StoreError> {
    rows(db, sql, values)
        .await?
        .iter()
        .map(|row| Ok(row.try_get("", "id")?))
        .collect()
}

#[async_trait]
impl JobStore for SqliteJobs {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.time())
    }

    async fn enqueue(
        &self,
        tx: &DatabaseTransaction,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, StoreError> {
        let ids = self.ids.of(&*self.clock, &jobs);
        enqueue::enqueue(tx, jobs, &ids, self.time()).await
    }

    async fn claim(
        &self,
        me: ProcessId,
        queue: Queue,
        ids: &[JobId],
    ) -> Result<Vec<Job>, StoreError> {
        let tx = begin(&self.db).await?;
        let claimed = claim::claim(&tx, me, queue, ids, self.time()).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn claim_due(
        &self,
        me: ProcessId,
        queue: Queue,
        limit: usize,
        after: OrgId,
        skip: &[OrgId],
    ) -> Result<Vec<Job>, StoreError> {
        let tx = begin(&self.db).await?;
        let claimed = due::claim(&tx, me, queue, limit, after, skip, self.time()).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn make_room(
        &self,
        me: ProcessId,
        queues: &[Queue],
    ) -> Result<Option<JobId>, StoreError> {
        let tx = begin(&self.db).await?;
        let job = alone::make_room(&tx, me, queues, self.time()).await?;
        tx.commit().await?;
        Ok(job)
    }

    async fn claim_alone(
        &self,
        me: ProcessId,
        queues: &[Queue],
    ) -> Result<Option<Job>, StoreError> {
        let tx = begin(&self.db).await?;
        let claimed = alone::claim_alone(&tx, me, queues, self.time()).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn leave_room(&self, me: ProcessId) -> Result<(), StoreError> {
        alone::leave_room(&self.db, me).await
    }

    async fn due(
        &self,
        queue: Queue,
        per_turn: usize,
        limit: usize,
        after: OrgId,
    ) -> Result<Vec<Due>, StoreError> {
        due::due(&self.db, queue, per_turn, limit, after, self.time()).await
    }

    async fn register(&self, me: ProcessId, kind: &str, host: &str) -> Result<(), StoreError> {
        lease::register(&self.db, me, kind, host, self.time()).await?;
        self.ours
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(me);
        Ok(())
    }

    async fn renew(&self, me: ProcessId, held: &[Lease]) -> Result<Renewal, StoreError> {
        let tx = begin(&self.db).await?;
        let renewal = lease::renew(&tx, me, held, self.time()).await?;
        tx.commit().await?;
        Ok(renewal)
    }

    async fn leave(&self, me: ProcessId) -> Result<Vec<JobId>, StoreError> {
        let tx = begin(&self.db).await?;
        let released = lease::leave(&tx, me, self.time()).await?;
        tx.commit().await?;
        Ok(released)
    }

    async fn fence(&self, tx: &DatabaseTransaction, lease: Lease) -> Result<bool, StoreError> {
        lease::fence(tx, lease).await
    }

    async fn checkpoint(
        &self,
        tx: &DatabaseTransaction,
        lease: Lease,
        progress: &Progress,
        cursor: Option<&serde_json::Value>,
    ) -> Result<(), StoreError> {
        lease::checkpoint(tx, lease, progress, cursor).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let tx = begin(&self.db).await?;
        let successors = self.ids.take(&*self.clock, settlements.len());
        let settled = settle::settle(&tx, settlements, &successors, self.time()).await?;
        tx.commit().await?;
        Ok(settled)
    }

    async fn settle_in(
        &self,
        tx: &DatabaseTransaction,
        settlement: &Settlement,
    ) -> Result<Option<Settled>, StoreError> {
        let successors = self.ids.take(&*self.clock, 1);
        let settled = settle::settle(
            tx,
            std::slice::from_ref(settlement),
            &successors,
            self.time(),
        )
        .await?;
        Ok(settled.into_iter().next())
    }

    async fn rescue(&self, me: ProcessId) -> Result<Rescued, StoreError> {
        let tx = begin(&self.db).await?;
        let rescued = rescue::rescue(&tx, me, &self.ours(), self.time(), || {
            self.ids.take(&*self.clock, 1)
        })
        .await?;
        tx.commit().await?;
        Ok(rescued)
    }

    async fn cancel(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError> {
        moves::cancel(tx, org, job, self.time()).await
    }

    async fn retry(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError> {
        moves::retry(tx, org, job, self.time()).await
    }

    async fn discard(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError> {
        moves::discard(tx, org, job, self.time()).await
    }

    async fn park_queued(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
    ) -> Result<Vec<JobId>, StoreError> {
        park::park_queued(tx, connection).await
    }

    async fn unpark(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
    ) -> Result<Vec<Due>, StoreError> {
        park::unpark(tx, connection, self.time()).await
    }

    async fn append_logs(&self, job: JobId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        let tx = begin(&self.db).await?;
        logs::append(&tx, job, lines, self.time()).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn prune(&self, older_than: Duration, limit: u64) -> Result<u64, StoreError> {
        let tx = begin(&self.db).await?;
        let deleted = prune::prune(&tx, older_than, limit, self.time()).await?;
        tx.commit().await?;
        Ok(deleted)
    }
}
