//! What became of consents' exchanges, for `/metrics`.

use patchbay_core::failure::{Failure, FailureKind};

use crate::metrics::Count;

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct ConsentCounts {
    /// The account is connected.
    pub(super) connected: Count,
    /// Of those: less was granted than asked for.
    pub(super) connected_with_less: Count,
    /// Another account than the connection's.
    conflicts: Count,
    /// Nobody knows what became of the code.
    unknown: Count,
    /// Any other end.
    failed: Count,
}

impl ConsentCounts {
    pub(super) fn count_failure(&self, failure: &Failure) {
        match failure.kind {
            FailureKind::Conflict => self.conflicts.add(1),
            FailureKind::UnknownOutcome => self.unknown.add(1),
            _ => self.failed.add(1),
        }
    }

    /// Name and value of each counter.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, u64); 5] {
        [
            ("consents_connected", self.connected.get()),
            (
                "consents_connected_with_less",
                self.connected_with_less.get(),
            ),
            ("consents_conflicts", self.conflicts.get()),
            ("consents_unknown_outcome", self.unknown.get()),
            ("consents_failed", self.failed.get()),
        ]
    }
}
