//! The leases this process holds: every job it has claimed and not yet settled. The
//! renewal reads it, and stops bodies through it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use patchbay_core::job::Lease;

use crate::run::{JobRun, StopReason};

/// A body that still runs this long after its deadline seems to hear nothing, as if it
/// blocked its thread.
const DEAF_AFTER: Duration = Duration::from_secs(10);

/// Claimed and not yet settled. By lease: the body of a job that was lost may still be at work
/// when the process claims the job anew.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<HashMap<Lease, Arc<JobRun>>>);

impl Book {
    fn runs(&self) -> MutexGuard<'_, HashMap<Lease, Arc<JobRun>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, run: &Arc<JobRun>) {
        self.runs().insert(run.lease, Arc::clone(run));
    }

    pub(crate) fn remove(&self, lease: Lease) {
        self.runs().remove(&lease);
    }

    /// Whether nothing is claimed: no body runs, also none whose job is lost.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    /// The run under this lease, until it is settled.
    pub(crate) fn run_of(&self, lease: Lease) -> Option<Arc<JobRun>> {
        self.runs().get(&lease).cloned()
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
            .filter_map(|lease| runs.get(lease).filter(|run| !run.has_ended()))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_body_whose_job_was_claimed_anew_stays_known_until_it_ends() {
        let (lost, _) = JobRun::on_memory(json!({})).await;
        let mut again = JobRun::on_memory(json!({})).await.0;
        again.lease = Lease {
            job: lost.lease.job,
            epoch: lost.lease.epoch + 1,
        };
        let (lost, again) = (Arc::new(lost), Arc::new(again));
        let book = Book::default();
        book.add(&lost);
        book.add(&again);
        book.remove(again.lease);
        assert!(!book.is_empty(), "one is still at work");
        assert!(book.run_of(lost.lease).is_some());
        book.remove(lost.lease);
        assert!(book.is_empty());
    }
}
