//! Checks counted.

use super::{Verdict, latency::Latency, varint};

/// What the checks of some time came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checks that passed or failed.
    pub checks: u32,
    /// Of these, failed.
    pub failed: u32,
    /// Seconds that the passed ones stand for: each for the time since the check before it.
    pub up_s: u32,
    /// Seconds that the failed ones stand for.
    pub down_s: u32,
    /// The longest response of a passed check, in milliseconds.
    pub longest_ms: u32,
    /// Response times of the passed ones.
    pub latency: Latency,
}

impl Tally {
    /// Counts a check that stands for `span_s` seconds.
    pub fn add(&mut self, verdict: Verdict, response_ms: u32, span_s: u32) {
        match verdict {
            Verdict::Passed => {
                self.checks = self.checks.saturating_add(1);
                self.up_s = self.up_s.saturating_add(span_s);
                self.longest_ms = self.longest_ms.max(response_ms);
                self.latency.add(response_ms);
            }
            Verdict::Failed => {
                self.checks = self.checks.saturating_add(1);
                self.failed = self.failed.saturating_add(1);
                self.down_s = self.down_s.saturating_add(span_s);
            }
            Verdict::Undecided => {}
        }
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        self.checks = self.checks.saturating_add(other.checks);
        self.failed = self.failed.saturating_add(other.failed);
        self.up_s = self.up_s.saturating_add(other.up_s);
        self.down_s = self.down_s.saturating_add(other.down_s);
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.latency.merge(&other.latency);
    }

    /// Share of the time it worked, 0 to 1: of the time that checks stand for, or of the
    /// checks where the first ones stand for none.
    #[must_use]
    pub fn uptime(&self) -> Option<f64> {
        let (up, all) = match self.up_s.saturating_add(self.down_s) {
            0 => (self.checks - self.failed.min(self.checks), self.checks),
            seconds => (self.up_s, seconds),
        };
        (all > 0).then(|| f64::from(up) / f64::from(all))
    }

    /// Share of the checks that failed, 0 to 1.
    #[must_use]
    pub fn error_rate(&self) -> Option<f64> {
        (self.checks > 0).then(|| f64::from(self.failed) / f64::from(self.checks))
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        for number in [
            self.checks,
            self.failed,
            self.up_s,
            self.down_s,
            self.longest_ms,
        ] {
            varint::put(bytes, u64::from(number));
        }
        self.latency.write(bytes);
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            checks: varint::take_u32(bytes)?,
            failed: varint::take_u32(bytes)?,
            up_s: varint::take_u32(bytes)?,
            down_s: varint::take_u32(bytes)?,
            longest_ms: varint::take_u32(bytes)?,
            latency: Latency::read(bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_goes_by_time_and_the_error_rate_by_checks() {
        let mut tally = Tally::default();
        (0..12).for_each(|_| tally.add(Verdict::Passed, 100, 300));
        // A refused credential is asked about once an hour.
        tally.add(Verdict::Failed, 50, 3_600);
        assert_eq!(tally.uptime(), Some(0.5));
        assert_eq!(tally.error_rate(), Some(1.0 / 13.0));
    }

    #[test]
    fn later_counts_neither_way() {
        let mut tally = Tally::default();
        tally.add(Verdict::Undecided, 5, 300);
        assert_eq!(tally, Tally::default());
        assert_eq!((tally.uptime(), tally.error_rate()), (None, None));
    }

    #[test]
    fn a_first_check_stands_for_itself() {
        let mut tally = Tally::default();
        tally.add(Verdict::Passed, 5, 0);
        assert_eq!(tally.uptime(), Some(1.0));
    }
}
