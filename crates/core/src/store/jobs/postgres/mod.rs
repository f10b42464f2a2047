//! The job protocol on PostgreSQL. Each move is one statement, guarded by the row's
//! state and epoch; the time is `patchbay_now()`, read once a statement.
//!
//! Order of locks, so that no two statements wait for each other: the connection's
//! row before its jobs, jobs in id order. Claims and rescues skip locked rows.
//!
//! Statements must stay on their indexes whatever the planner believes: the table holds
//! millions of ended jobs beside few open ones, statistics lag behind a flood by a
//! minute, and a plan made while the table was empty is kept. So (with `enable_seqscan =
//! off` of the session, see `store::connect`):
//! - rows are found by `id = any(...)`, never only by a join, which the planner may turn
//!   round and answer with a walk through an index;
//! - where a partial index could answer but must not (it would walk through all queued
//!   jobs to find a few ids), the state is compared as `state || '' = 'queued'`;
//! - a lane is asked about with an ordered subquery for one row.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, FromQueryResult,
    QueryResult, Statement, TransactionTrait, Value,
};

use super::{
    Due, JobStore, LogLine, Moved, Renewal, Rescued, Settled, StoreError, order::GrowingIds,
};
use crate::{
    clock::Clock,
    entities::job::Model as Job,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{Enqueued, Lease, NewJob, Queue, Settlement},
    progress::Progress,
};

mod alone;
mod claim;
mod claim_due;
mod enqueue;
mod lease;
mod logs;
mod moves;
mod park;
mod prune;
mod rescue;
mod settle;
mod turns;

/// Job statements of PostgreSQL.
#[derive(Debug)]
pub(super) struct PostgresJobs {
    db: DatabaseConnection,
    clock: Arc<dyn Clock>,
    ids: GrowingIds,
}

impl PostgresJobs {
    pub(super) fn new(db: DatabaseConnection, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            clock,
            ids: GrowingIds::new(),
        }
    }
}

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

fn uuids(ids: impl IntoIterator<Item = JobId>) -> Value {
    ids.into_iter().map(|id| id.0).collect::<Vec<_>>().into()
}

/// Milliseconds of a delay; one beyond 292 million years is as good as that.
fn millis(delay: Duration) -> i64 {
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}

fn jobs_of(rows: &[QueryResult]) -> Result<Vec<Job>, StoreError> {
    Ok(rows
        .iter()
        .map(|row| Job::from_query_result(row, ""))
        .collect::<Result<_, _>>()?)
}

fn job_ids_of(rows: &[QueryResult]) -> Result<Vec<JobId>, StoreError> {
    Ok(rows
        .iter()
        .map(|row| row.try_get("", "id"))
        .collect::<Result<_, _>>()?)
}

#[async_trait]
impl JobStore for PostgresJobs {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        lease::now(&self.db).await
    }

    async fn enqueue(
        &self,
        tx: &DatabaseTransaction,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, StoreError> {
        let ids = self.ids.of(&*self.clock, &jobs);
        enqueue::enqueue(tx, jobs, &ids).await
    }

    async fn claim(
        &self,
        me: ProcessId,
        queue: Queue,
        ids: &[JobId],
    ) -> Result<Vec<Job>, StoreError> {
        claim::claim(&self.db, me, queue, ids).await
    }

    async fn claim_due(
        &self,
        me: ProcessId,
        queue: Queue,
        limit: usize,
        after: OrgId,
        skip: &[OrgId],
    ) -> Result<Vec<Job>, StoreError> {
        claim_due::claim_due(&self.db, me, queue, limit, after, skip).await
    }

    async fn make_room(
        &self,
        me: ProcessId,
        queues: &[Queue],
    ) -> Result<Option<JobId>, StoreError> {
        alone::make_room(&self.db, me, queues).await
    }

    async fn claim_alone(
        &self,
        me: ProcessId,
        queues: &[Queue],
    ) -> Result<Option<Job>, StoreError> {
        alone::claim_alone(&self.db, me, queues).await
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
        claim_due::due(&self.db, queue, per_turn, limit, after).await
    }

    async fn register(&self, me: ProcessId, kind: &str, host: &str) -> Result<(), StoreError> {
        lease::register(&self.db, me, kind, host).await
    }

    async fn renew(&self, me: ProcessId, held: &[Lease]) -> Result<Renewal, StoreError> {
        lease::renew(&self.db, me, held).await
    }

    async fn leave(&self, me: ProcessId) -> Result<Vec<JobId>, StoreError> {
        lease::leave(&self.db, me).await
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
        let successors = self.ids.take(&*self.clock, settlements.len());
        if settle::takes_several_statements(settlements) {
            let tx = self.db.begin().await?;
            let settled = settle::settle(&tx, settlements, &successors).await?;
            tx.commit().await?;
            Ok(settled)
        } else {
            settle::settle(&self.db, settlements, &successors).await
        }
    }

    async fn settle_in(
        &self,
        tx: &DatabaseTransaction,
        settlement: &Settlement,
    ) -> Result<Option<Settled>, StoreError> {
        let successors = self.ids.take(&*self.clock, 1);
        let settled = settle::settle(tx, std::slice::from_ref(settlement), &successors).await?;
        Ok(settled.into_iter().next())
    }

    async fn rescue(&self, me: ProcessId) -> Result<Rescued, StoreError> {
        rescue::rescue(&self.db, me).await
    }

    async fn cancel(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError> {
        moves::cancel(tx, org, job).await
    }

    async fn retry(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError> {
        moves::retry(tx, org, job).await
    }

    async fn discard(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        job: JobId,
    ) -> Result<Moved, StoreError> {
        moves::discard(tx, org, job).await
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
        park::unpark(tx, connection).await
    }

    async fn append_logs(&self, job: JobId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        logs::append(&self.db, job, lines).await
    }

    async fn prune(&self, older_than: Duration, limit: u64) -> Result<u64, StoreError> {
        prune::prune(&self.db, older_than, limit).await
    }
}

/// Runs a statement and reads every row.
async fn rows(
    db: &impl ConnectionTrait,
    statement: Statement,
) -> Result<Vec<QueryResult>, StoreError> {
    Ok(db.query_all_raw(statement).await?)
}
