//! When what is watched is read again.

use std::time::Duration;

use tokio::time::Instant;

/// A job or an org is read again at most this often.
const THROTTLE: Duration = Duration::from_millis(100);
/// Signals that come together are read together.
const GATHER: Duration = Duration::from_millis(2);

/// When something is read again.
pub(super) struct Refresh {
    pub(super) due: Option<Instant>,
    last: Instant,
}

impl Refresh {
    pub(super) fn new() -> Self {
        Self {
            due: None,
            last: Instant::now() - THROTTLE,
        }
    }

    pub(super) fn mark(&mut self, now: Instant) -> Instant {
        *self
            .due
            .get_or_insert((now + GATHER).max(self.last + THROTTLE))
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            *self = Self {
                due: None,
                last: now,
            };
        }
        due
    }
}
