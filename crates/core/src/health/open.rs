//! What a connection's checks have come to since its row was last emptied: counts by hour,
//! and the checks themselves.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Verdict, hour_of,
    ring::{self, Check},
    tally::Tally,
    varint,
};

/// Checks that gather before the row is emptied: with more, each check rewrites more bytes;
/// with fewer, the rows of the day and of the last hundred are written more often.
pub const EMPTIED_AT: usize = 16;

/// The part of the numbers that is not yet in the rows of the day and the ring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Counts by hour (since 1970), oldest first; one or two.
    pub hours: Vec<(i64, Tally)>,
    /// The checks, oldest first.
    pub checks: Vec<Check>,
}

impl Open {
    /// Adds a check. It stands for the time since the one before, at most twice the
    /// interval: nothing is known of a time when nobody looked.
    pub fn add(&mut self, check: Check, before: Option<DateTime<Utc>>, every_minutes: i32) {
        let most = i64::from(every_minutes.max(1)) * 120;
        let span = before.map_or(TimeDelta::zero(), |before| check.at - before);
        let span = u32::try_from(span.num_seconds().clamp(0, most)).unwrap_or(0);
        let hour = hour_of(check.at);
        if self.hours.last().is_none_or(|(last, _)| *last != hour) {
            self.hours.push((hour, Tally::default()));
        }
        if let Some((_, tally)) = self.hours.last_mut() {
            tally.add(Verdict::of(check.failure), check.response_ms, span);
        }
        self.checks.push(check);
    }

    /// Whether it is to be emptied into the rows of the day and the ring.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.checks.len() >= EMPTIED_AT
    }

    /// As it is stored; `None` where the bytes are none.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let bytes = &mut bytes;
        let count = varint::take(bytes)?;
        let mut hours = Vec::new();
        for _ in 0..count {
            let hour = i64::try_from(varint::take(bytes)?).ok()?;
            hours.push((hour, Tally::read(bytes)?));
        }
        let checks = ring::read(bytes)?;
        Some(Self { hours, checks })
    }

    /// To be stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, self.hours.len() as u64);
        for (hour, tally) in &self.hours {
            varint::put(&mut bytes, u64::try_from(*hour).unwrap_or(0));
            tally.write(&mut bytes);
        }
        ring::write(&self.checks, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job_args::CheckReason;

    fn check(second: i64) -> Check {
        Check {
            at: DateTime::from_timestamp(second, 0).unwrap(),
            reason: CheckReason::Scheduled,
            failure: None,
            response_ms: 250,
        }
    }

    #[test]
    fn a_check_stands_for_the_time_since_the_one_before_within_reason() {
        let mut open = Open::default();
        open.add(check(7_200), None, 5);
        open.add(check(7_500), Some(check(7_200).at), 5);
        // Nobody looked for a while.
        open.add(check(10_799), Some(check(7_500).at), 5);
        assert_eq!(open.hours.len(), 1);
        let (hour, tally) = &open.hours[0];
        assert_eq!((*hour, tally.checks, tally.up_s), (2, 3, 300 + 600));
        // A clock that went back.
        open.add(check(7_200), Some(check(10_799).at), 5);
        assert_eq!(open.hours[0].1.up_s, 900);
    }

    #[test]
    fn a_full_one_is_small() {
        let mut open = Open::default();
        for number in 0..EMPTIED_AT as i64 {
            open.add(check(1_790_000_000 + number * 300), None, 5);
        }
        assert!(open.is_full());
        assert!(open.encode().len() < 130, "{}", open.encode().len());
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read(seconds in prop::collection::vec(0_i64..100_000, 0..30)) {
            let mut open = Open::default();
            let mut seconds = seconds;
            seconds.sort_unstable();
            seconds.iter().for_each(|second| open.add(check(*second), None, 5));
            prop_assert_eq!(Open::decode(&open.encode()), Some(open));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            if let Some(open) = Open::decode(&bytes) {
                prop_assert!(open.checks.len() <= bytes.len());
            }
        }
    }
}
