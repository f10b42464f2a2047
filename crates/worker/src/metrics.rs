//! Counters of one worker process, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the process started. Read with [`Metrics::numbers`].
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) claimed_from_hints: Count,
    pub(crate) claimed_from_table: Count,
    pub(crate) hints_popped: Count,
    pub(crate) hints_stale: Count,
    pub(crate) fetches_failed: Count,
    pub(crate) bodies_begun: Count,
    pub(crate) succeeded: Count,
    pub(crate) retried: Count,
    pub(crate) failed: Count,
    pub(crate) parked: Count,
    pub(crate) released: Count,
    pub(crate) settled_by_others: Count,
    pub(crate) settles_failed: Count,
    pub(crate) panics: Count,
    pub(crate) deadlines: Count,
    pub(crate) leases_lost: Count,
    pub(crate) renewals_failed: Count,
    pub(crate) declared_dead: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0
            .fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Name and value of each counter.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, u64); 18] {
        [
            ("claimed_from_hints", self.claimed_from_hints.get()),
            ("claimed_from_table", self.claimed_from_table.get()),
            ("hints_popped", self.hints_popped.get()),
            ("hints_stale", self.hints_stale.get()),
            ("fetches_failed", self.fetches_failed.get()),
            ("bodies_begun", self.bodies_begun.get()),
            ("succeeded", self.succeeded.get()),
            ("retried", self.retried.get()),
            ("failed", self.failed.get()),
            ("parked", self.parked.get()),
            ("released", self.released.get()),
            ("settled_by_others", self.settled_by_others.get()),
            ("settles_failed", self.settles_failed.get()),
            ("panics", self.panics.get()),
            ("deadlines", self.deadlines.get()),
            ("leases_lost", self.leases_lost.get()),
            ("renewals_failed", self.renewals_failed.get()),
            ("declared_dead", self.declared_dead.get()),
        ]
    }
}
