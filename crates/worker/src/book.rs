//! The leases this process holds: every job it has claimed and not yet settled. The
//! renewal reads it, and stops bodies through it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use patchbay_core::{ids::JobId, job::Lease};

use crate::run::{JobRun, StopReason};

/// A body that still runs this long after its deadline seems to hear nothing, as if it
/// blocked its thread.
const DEAF_AFTER: Duration = Duration::from_secs(10);

/// Claimed and not yet settled.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<HashMap<JobId, Arc<JobRun>>>);

impl Book {
    fn runs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<JobRun>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, run: &Arc<JobRun>) {
        self.runs().insert(run.lease.job, Arc::clone(run));
    }

    /// Forgets a lease, unless the job has been claimed anew meanwhile.
    pub(crate) fn remove(&self, lease: Lease) {
        let mut runs = self.runs();
        if runs.get(&lease.job).is_some_and(|run| run.lease == lease) {
            runs.remove(&lease.job);
        }
    }

    /// Whether nothing is claimed: no body runs, also none whose job is lost.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    /// The run under this lease, until it is settled.
    pub(crate) fn run_of(&self, lease: Lease) -> Option<Arc<JobRun>> {
        let runs = self.runs();
        let run = runs.get(&lease.job).filter(|run| run.lease == lease);
        run.cloned()
    }

    /// The leases to renew: all but those already known to be lost.
    pub(crate) fn held(&self) -> Vec<Lease> {
        self.runs()
            .values()
            .filter(|run| run.stopped() != Some(StopReason::Lost))
            .map(|run| run.lease)
            .collect()
    }

    /// The runs of these leases that still run.
    pub(crate) fn running(&self, leases: &[Lease]) -> Vec<Arc<JobRun>> {
        let runs = self.runs();
        leases
            .iter()
            .filter_map(|lease| {
                runs.get(&lease.job)
                    .filter(|run| run.lease == *lease && !run.has_ended())
            })
            .cloned()
            .collect()
    }

    /// Every run that still runs.
    pub(crate) fn all_running(&self) -> Vec<Arc<JobRun>> {
        self.runs()
            .values()
            .filter(|run| !run.has_ended())
            .cloned()
            .collect()
    }

    /// The runs that look deaf to their deadline.
    pub(crate) fn deaf(&self, now: Instant) -> Vec<Lease> {
        self.runs()
            .values()
            .filter(|run| !run.has_ended() && now > run.ends_by + DEAF_AFTER)
            .map(|run| run.lease)
            .collect()
    }
}
