//! Short waits inside one call, for providers that ask for a slower pace. Longer
//! ones belong to the job protocol.

use std::time::Duration;

use rand::RngExt;

/// Exponential waits with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait; each next one is twice as long.
    pub first: Duration,
    /// Waits in all before giving up.
    pub tries: u32,
    /// Longest single wait, also of one that the provider asks for.
    pub longest: Duration,
}

impl Default for Backoff {
    /// 0.3, 0.6, 1.2, 2.4, 4.8 s at most: some seven seconds on average.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(300),
            tries: 5,
            longest: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// How long to wait before try number `tried` + 1; `None` gives up. Half of each
    /// wait is random, so that a fleet that was refused together does not return together.
    #[must_use]
    pub fn wait(&self, tried: u32, asked: Option<Duration>) -> Option<Duration> {
        if tried >= self.tries {
            return None;
        }
        match asked {
            Some(asked) if asked > self.longest => None,
            Some(asked) => Some(asked),
            None => {
                let full = self
                    .first
                    .saturating_mul(1 << tried.min(16))
                    .min(self.longest);
                Some(full.mul_f64(rand::rng().random_range(0.5..=1.0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_and_end() {
        let backoff = Backoff::default();
        for (tried, full) in [(0, 300), (1, 600), (2, 1200), (3, 2400), (4, 4800)] {
            let wait = backoff.wait(tried, None).expect("another try");
            let full = Duration::from_millis(full);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        assert_eq!(backoff.wait(5, None), None);
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_to_the_letter_or_left_to_the_job() {
        let backoff = Backoff::default();
        let asked = Some(Duration::from_secs(2));
        assert_eq!(backoff.wait(0, asked), asked);
        assert_eq!(backoff.wait(5, asked), None);
        assert_eq!(backoff.wait(0, Some(Duration::from_secs(6))), None);
    }
}
