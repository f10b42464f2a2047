//! Tells a body that blocks its thread from a process that was held up as a whole: a
//! stopped or starved process comes back with deadlines long past, and its bodies hear of
//! them only when their own timers have run.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use patchbay_core::job::Lease;

/// A body that is deaf for this long, seen by timely looks, stays deaf.
const SURE_AFTER: Duration = Duration::from_secs(5);
/// No gap between two looks counts for more. Looks come every second: a longer gap means
/// that this thread, and perhaps every other, did not run.
const GAP_COUNTED: Duration = Duration::from_millis(1_500);

/// How long each deaf run has been seen deaf.
#[derive(Debug, Default)]
pub(crate) struct DeafWatch {
    last_look: Option<Instant>,
    seen: HashMap<Lease, Duration>,
}

impl DeafWatch {
    /// Told of every run that is deaf at this look; answers one that certainly is.
    pub(crate) fn look(&mut self, now: Instant, deaf: &[Lease]) -> Option<Lease> {
        let gap = self
            .last_look
            .map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last_look = Some(now);
        let before = std::mem::take(&mut self.seen);
        self.seen = deaf
            .iter()
            .map(|lease| {
                let seen = before
                    .get(lease)
                    .map_or(Duration::ZERO, |seen| *seen + gap.min(GAP_COUNTED));
                (*lease, seen)
            })
            .collect();
        self.seen
            .iter()
            .find(|(_, seen)| **seen >= SURE_AFTER)
            .map(|(lease, _)| *lease)
    }
}

#[cfg(test)]
mod tests {
    use patchbay_core::{clock::SystemClock, ids::JobId};

    use super::*;

    fn lease() -> Lease {
        Lease {
            job: JobId::new(&SystemClock),
            epoch: 1,
        }
    }

    #[test]
    fn a_body_is_deaf_for_certain_after_five_seconds_of_timely_looks() {
        let (start, lease) = (Instant::now(), lease());
        let mut watch = DeafWatch::default();
        for second in 0..5 {
            assert_eq!(
                watch.look(start + Duration::from_secs(second), &[lease]),
                None
            );
        }
        assert_eq!(
            watch.look(start + Duration::from_secs(5), &[lease]),
            Some(lease)
        );
    }

    #[test]
    fn a_process_that_was_stopped_gives_its_bodies_time_to_hear() {
        let (start, lease) = (Instant::now(), lease());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut watch = DeafWatch::default();
        assert_eq!(watch.look(at(0), &[]), None);
        assert_eq!(watch.look(at(60), &[lease]), None, "stopped for a minute");
        assert_eq!(watch.look(at(120), &[lease]), None, "and once more");
        assert_eq!(watch.look(at(121), &[]), None, "its timer has run");
        for second in 122..127 {
            assert_eq!(watch.look(at(second), &[lease]), None, "begins anew");
        }
    }
}
