//! Schedulers: they make due work visible to workers, take back what dead processes
//! held, and forget what is old. Any number may run, there is no leader: every duty is
//! a guarded statement that does no harm when two do it.
//!
//! It must hold no keys, call no provider and run no job.

use std::{sync::Arc, time::Duration};

use patchbay_core::{clock::Clock, hints::Hints, ids::ProcessId, store::Store};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

mod report;
mod retention;
mod tasks;

pub use report::{Report, Reports};
pub use retention::Retention;

/// A stop waits for the database no longer than this.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Whose process this is.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A scheduler of its own: it registers and renews itself.
    Own {
        /// Where it runs, as operators see it.
        host: String,
    },
    /// A part of a process whose worker keeps the lease.
    Of(watch::Receiver<Option<ProcessId>>),
}

/// What a scheduler works with.
#[derive(Debug, Clone)]
pub struct SchedulerDeps {
    /// Every query.
    pub store: Store,
    /// Where due jobs are hinted.
    pub hints: Arc<dyn Hints>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Whose process this is.
    pub identity: Identity,
    /// How long what is past is kept.
    pub retention: Retention,
    /// What each duty last did, for readiness and metrics.
    pub reports: Arc<Reports>,
}

impl SchedulerDeps {
    /// A scheduler of its own or within another process.
    #[must_use]
    pub fn new(
        store: Store,
        hints: Arc<dyn Hints>,
        clock: Arc<dyn Clock>,
        identity: Identity,
    ) -> Self {
        Self {
            store,
            hints,
            clock,
            identity,
            retention: Retention::default(),
            reports: Arc::default(),
        }
    }
}

/// Does every duty until `shutdown`. Faults of the database or of Redis are reported and
/// retried; they never end it.
pub async fn run(deps: SchedulerDeps, shutdown: CancellationToken) {
    let me = watch::Sender::new(None);
    let me_reader = match &deps.identity {
        Identity::Own { .. } => me.subscribe(),
        Identity::Of(worker) => worker.clone(),
    };
    let mut duties = JoinSet::new();
    for duty in tasks::all(&deps, me, &me_reader) {
        duties.spawn(tasks::repeat(
            duty,
            Arc::clone(&deps.reports),
            Arc::clone(&deps.clock),
            shutdown.clone(),
        ));
    }
    while let Some(ended) = duties.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a duty of the scheduler ended");
        }
    }
    let known = *me_reader.borrow();
    if let (Identity::Own { .. }, Some(me)) = (&deps.identity, known) {
        leave(&deps.store, me).await;
    }
}

/// Operators see at once that this scheduler has ended; without it, once its lease has.
async fn leave(store: &Store, me: ProcessId) {
    match timeout(LEAVE_WITHIN, store.jobs().leave(me)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the database was not told of the end"),
        Err(_) => tracing::debug!("the database was not told of the end: it does not answer"),
    }
}
