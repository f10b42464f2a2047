//! Schedulers: they make due work visible to workers, take back what dead processes
//! held, and forget what is old. Any number may run, there is no leader: every duty is
//! a guarded statement that does no harm when two do it.
//!
//! It must hold no keys, call no provider and run no job.

use std::sync::Arc;

use patchbay_core::{clock::Clock, hints::Hints, ids::ProcessId, store::Store};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

mod report;
mod tasks;

pub use report::{Report, Reports};

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
            shutdown.clone(),
        ));
    }
    while let Some(ended) = duties.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a duty of the scheduler ended");
        }
    }
}
