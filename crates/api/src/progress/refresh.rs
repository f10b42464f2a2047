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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_marks_in_a_second_are_about_ten_reads_and_the_last_one_is_read() {
        let began = Instant::now();
        let mut refresh = Refresh::new();
        let mut reads = Vec::new();
        for ms in 0..1_000 {
            let now = began + Duration::from_millis(ms);
            refresh.mark(now);
            if refresh.take(now) {
                reads.push(ms);
            }
        }
        let last = refresh.due.expect("the last mark waits for its read");
        assert!(last <= began + Duration::from_secs(1) + THROTTLE);
        assert!(refresh.take(last));
        assert!(!refresh.take(last + THROTTLE), "it was marked no more");
        assert!((9..=10).contains(&reads.len()), "{reads:?}");
        assert!(reads[0] <= 10, "the first mark does not wait: {reads:?}");
    }
}
