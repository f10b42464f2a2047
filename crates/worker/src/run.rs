//! One run of a job: the claimed row, the proof that it is ours, when to stop,
//! and the only ways a body may write.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use patchbay_core::{
    entities::{connection, job::Model as Job},
    hints::{Hints, Signal},
    ids::{ConnectionId, OrgId},
    job::{JobError, Lease, Next, Settle, Settlement},
    progress::Progress,
    retry::{RetryPolicy, Scope},
    store::{Store, StoreError, jobs::Settled},
};
use sea_orm::DatabaseTransaction;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::job_log::JobLog;
pub use crate::stop_reason::StopReason;
pub(crate) use crate::stop_reason::stopped_failure;

/// Why nothing may be written.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// The job is not ours any more.
    #[error("the lease of this job is lost")]
    LeaseLost,
    /// The database refused or was not there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A lost lease has no consequence to decide: whoever took the job decides it.
impl From<FenceError> for JobError {
    fn from(error: FenceError) -> Self {
        match error {
            FenceError::LeaseLost => Self {
                next: Next::Release,
                failure: stopped_failure(StopReason::Lost),
            },
            FenceError::Store(error) => error.into(),
        }
    }
}

/// One run of a job.
#[derive(Debug)]
pub struct JobRun {
    /// The row as it was claimed.
    pub job: Job,
    /// Proof that it is ours.
    pub lease: Lease,
    /// Cancelled when the body should stop: job cancelled, lease lost, deadline, shutdown, room.
    /// On a shutdown there is time to checkpoint; then return [`Self::released`].
    pub stop: CancellationToken,
    /// Log lines a person sees beside the job.
    pub log: JobLog,
    /// Cancelled when the body is dropped wherever it stands.
    pub(crate) abandon: CancellationToken,
    /// When its deadline passes, by this machine.
    pub(crate) ends_by: Instant,
    ended: AtomicBool,
    progressed: AtomicBool,
    reason: OnceLock<StopReason>,
    settled: OnceLock<Settled>,
    policy: OnceLock<RetryPolicy>,
    store: Store,
    hints: Arc<dyn Hints>,
}

impl JobRun {
    /// A run of a claimed job. Tests call bodies with it.
    #[must_use]
    pub fn new(job: Job, store: Store, hints: Arc<dyn Hints>) -> Self {
        let lease = Lease {
            job: job.id,
            epoch: job.lease_epoch,
        };
        let log = JobLog::new(job.id, job.attempt + 1, store.clone());
        let timeout = Duration::from_secs(u64::try_from(job.timeout_s).unwrap_or(0));
        Self {
            job,
            lease,
            stop: CancellationToken::new(),
            log,
            abandon: CancellationToken::new(),
            ends_by: Instant::now() + timeout,
            ended: AtomicBool::new(false),
            progressed: AtomicBool::new(false),
            reason: OnceLock::new(),
            settled: OnceLock::new(),
            policy: OnceLock::new(),
            store,
            hints,
        }
    }

    /// Begins a transaction and locks the job's row in it: what is written in it is
    /// written by the one who holds the job, or not at all. Keep it short (PostgreSQL ends
    /// sessions that idle in a transaction for 4 s) and commit it yourself.
    ///
    /// # Errors
    /// [`FenceError::LeaseLost`]: stop; nothing may be written any more.
    pub async fn begin_fenced(&self) -> Result<DatabaseTransaction, FenceError> {
        let tx = self.store.begin().await?;
        self.fence(tx).await
    }

    /// The same with the row of the job's connection held as well. Connection before job is
    /// the order that every transaction takes which needs both: the API holds a connection
    /// while it cancels its jobs, and the other way round the two would wait for each other.
    ///
    /// # Errors
    /// As [`Self::begin_fenced`].
    pub async fn begin_fenced_on(
        &self,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<(DatabaseTransaction, Option<connection::Model>), FenceError> {
        let tx = self.store.begin().await?;
        let row = self.store.lock_connection(&tx, org, connection).await?;
        Ok((self.fence(tx).await?, row))
    }

    /// The same with the rows of many connections held, in the order of their ids.
    ///
    /// # Errors
    /// As [`Self::begin_fenced`].
    pub async fn begin_fenced_on_all(
        &self,
        connections: &[ConnectionId],
    ) -> Result<(DatabaseTransaction, Vec<connection::Model>), FenceError> {
        let tx = self.store.begin().await?;
        let rows = self.store.lock_connections(&tx, connections).await?;
        Ok((self.fence(tx).await?, rows))
    }

    async fn fence(&self, tx: DatabaseTransaction) -> Result<DatabaseTransaction, FenceError> {
        if self.store.jobs().fence(&tx, self.lease).await? {
            return Ok(tx);
        }
        tx.rollback().await.map_err(StoreError::from)?;
        self.stop_for(StopReason::Lost);
        Err(FenceError::LeaseLost)
    }

    /// Within a fenced transaction: the job's progress and where it would go on.
    /// After the commit call [`Self::signal`].
    ///
    /// # Errors
    /// The database refused.
    pub async fn checkpoint(
        &self,
        tx: &DatabaseTransaction,
        progress: &Progress,
        cursor: Option<&Value>,
    ) -> Result<(), StoreError> {
        self.store
            .jobs()
            .checkpoint(tx, self.lease, progress, cursor)
            .await?;
        self.progressed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Within a fenced transaction: ends the job with success, so that its result and what
    /// else is in the transaction (an event, a status) become true together. Commit, then
    /// return the same result.
    ///
    /// # Errors
    /// [`FenceError::LeaseLost`], or the database refused.
    pub async fn succeed_in(
        &self,
        tx: &DatabaseTransaction,
        result: &Value,
    ) -> Result<(), FenceError> {
        self.settle_in(
            tx,
            Settle::Succeed {
                result: result.clone(),
            },
        )
        .await
    }

    /// The same for any other end. Commit, then return an error that says the same.
    ///
    /// # Errors
    /// [`FenceError::LeaseLost`], or the database refused.
    pub async fn settle_in(&self, tx: &DatabaseTransaction, end: Settle) -> Result<(), FenceError> {
        let settlement = Settlement {
            lease: self.lease,
            end: self.scrubbed(end),
        };
        let settled = self
            .store
            .jobs()
            .settle_in(tx, &settlement)
            .await?
            .ok_or(FenceError::LeaseLost)?;
        // A body settles once; a second settlement found no lease and did not get here.
        self.settled.get_or_init(|| settled);
        Ok(())
    }

    fn scrubbed(&self, end: Settle) -> Settle {
        match end {
            Settle::Succeed { .. } | Settle::Release => end,
            Settle::Retry { delay, failure } => Settle::Retry {
                delay,
                failure: self.log.scrub_failure(failure),
            },
            Settle::Fail { failure } => Settle::Fail {
                failure: self.log.scrub_failure(failure),
            },
            Settle::Snooze { delay, failure } => Settle::Snooze {
                delay,
                failure: self.log.scrub_failure(failure),
            },
            Settle::Park {
                credential_version,
                failure,
            } => Settle::Park {
                credential_version,
                failure: self.log.scrub_failure(failure),
            },
        }
    }

    /// Tells progress streams to look at the job again. Best effort: readers also look
    /// by themselves every few seconds.
    pub async fn signal(&self) {
        let Some(org) = self.job.org_id else { return };
        if let Err(away) = self
            .hints
            .signal(Signal::Job {
                org,
                job: self.job.id,
            })
            .await
        {
            tracing::debug!(%away, job = %self.job.id, "signal not sent");
        }
    }

    /// Why the body should stop, if it should.
    #[must_use]
    pub fn stopped(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// What a body answers that stopped because it was asked to: back to the queue,
    /// no attempt burned (after a deadline the worker makes it a failure).
    #[must_use]
    pub fn released(&self) -> JobError {
        let reason = self.stopped().unwrap_or(StopReason::Shutdown);
        JobError {
            next: Next::Release,
            failure: stopped_failure(reason),
        }
    }

    /// Asks the body to stop. The first reason stays.
    pub(crate) fn stop_for(&self, reason: StopReason) {
        self.reason.get_or_init(|| reason);
        self.stop.cancel();
    }

    /// Reads the policy of the job's org, which says what a failure comes to. It is read when a
    /// body has failed, so that a change takes effect on jobs that run or wait already.
    pub(crate) async fn read_policy(&self) {
        let Some(org) = self.job.org_id else { return };
        let scope = Scope::of(self.job.kind);
        let read = self.store.retry_policy(self.store.db(), org, scope);
        match read.await {
            Ok(set) => {
                let policy = set.map_or_else(|| RetryPolicy::usual(scope), |set| set.policy);
                self.policy.get_or_init(|| policy);
            }
            Err(error) => {
                tracing::warn!(%error, job = %self.job.id, "the retry policy could not be read");
            }
        }
    }

    /// The policy of the job's org; `None` where it could not be read.
    pub(crate) fn policy(&self) -> Option<RetryPolicy> {
        match self.job.org_id {
            Some(_) => self.policy.get().copied(),
            None => Some(RetryPolicy::default()),
        }
    }

    /// What the body settled itself, if its transaction was committed.
    pub(crate) fn settled_by_body(&self) -> Option<&Settled> {
        self.settled.get()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether it has written progress: with its commit the job is no suspect any more.
    pub(crate) fn has_progressed(&self) -> bool {
        self.progressed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl JobRun {
    /// A run of a no-op job in an empty database of one connection, and what its body
    /// would work with.
    pub(crate) async fn on_memory(args: Value) -> (Self, crate::Context) {
        use patchbay_core::{
            clock::{Clock, SystemClock},
            hints::MemoryHints,
            ids::{DeploymentId, JobId},
            job::{JobKind, JobState, Queue},
            outbound::{Outbound, OutboundConfig},
            vault::{Keyring, Vault},
        };

        let db = sea_orm::Database::connect("sqlite::memory:").await.unwrap();
        let clock = Arc::new(SystemClock);
        let keyring = Keyring::parse(&Keyring::generate()).unwrap();
        let ctx = crate::Context {
            store: Store::new(db, clock.clone()),
            hints: Arc::new(MemoryHints::new()),
            vault: Arc::new(Vault::new(keyring, DeploymentId::new(&*clock))),
            clock,
            providers: Arc::new(patchbay_providers::Registry::builtin()),
            outbound: Arc::new(Outbound::new(OutboundConfig::default()).unwrap()),
            clients: Arc::default(),
            refresher: Arc::default(),
            consents: Arc::default(),
            silence: Arc::default(),
        };
        let now = SystemClock.now();
        let job = Job {
            id: JobId::new(&SystemClock),
            org_id: None,
            connection_id: None,
            kind: JobKind::Noop,
            queue: Queue::Sync,
            lane: None,
            args,
            sealed: None,
            sealed_key: None,
            state: JobState::Running,
            run_at: now,
            attempt: 0,
            max_attempts: 4,
            crashes: 0,
            timeout_s: 60,
            lease_epoch: 1,
            leased_by: None,
            deadline: None,
            dedupe_key: None,
            again: false,
            progress: None,
            progress_no: 0,
            cursor: None,
            result: None,
            error: None,
            trace_context: None,
            requested_by: "test".into(),
            created_at: now,
            started_at: None,
            finished_at: None,
            discarded_at: None,
        };
        let run = Self::new(job, ctx.store.clone(), Arc::clone(&ctx.hints));
        (run, ctx)
    }
}
