//! From checks to the health that people see. One failure among passes changes nothing, and
//! what was called bad is called good only after a while, so that a connection that wavers
//! is `degraded` and stays it:
//!
//! | shown | becomes | when |
//! |---|---|---|
//! | any | failing | the last three checks failed |
//! | unknown | healthy, degraded | at the first check: it passed, it failed |
//! | healthy | degraded | two of the last four failed |
//! | degraded | healthy | none of the last four failed |
//! | failing | degraded | the last two passed (healthy where no failure is remembered) |
//!
//! At the default of five minutes: an outage is `degraded` after five minutes and `failing`
//! after ten; what was repaired is `degraded` after ten and `healthy` after twenty. A test
//! that a person asks for and that passes makes a connection `healthy` at once, and a
//! refused credential makes it `failing` at once: neither is a matter of luck.

use crate::connection::Health;

/// Checks that are remembered.
const REMEMBERED: u32 = 4;

/// The outcomes of the last checks. As a number: a one, then a bit for each of them, oldest
/// first, set where it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcomes(u8);

impl Default for Outcomes {
    fn default() -> Self {
        Self(1)
    }
}

impl Outcomes {
    /// As it is stored; a number that nobody wrote is no memory at all.
    #[must_use]
    pub fn of_stored(stored: i32) -> Self {
        match u8::try_from(stored) {
            Ok(bits) if (1..1 << (REMEMBERED + 1)).contains(&bits) => Self(bits),
            Ok(_) | Err(_) => Self::default(),
        }
    }

    /// To be stored.
    #[must_use]
    pub fn stored(self) -> i32 {
        i32::from(self.0)
    }

    /// With one more.
    #[must_use]
    pub fn then(self, failed: bool) -> Self {
        let bits = self.0 << 1 | u8::from(failed);
        let all = 1 << REMEMBERED;
        Self(if bits >= all << 1 {
            bits & (all - 1) | all
        } else {
            bits
        })
    }

    fn count(self) -> u32 {
        self.0.ilog2()
    }

    fn failed(self) -> u32 {
        self.0.count_ones() - 1
    }

    fn last_failed(self, count: u32) -> bool {
        self.count() >= count && self.0.trailing_ones() >= count
    }

    fn last_passed(self, count: u32) -> bool {
        self.count() >= count && self.0.trailing_zeros() >= count
    }
}

/// The health to show after a check, whose outcome is the last of `outcomes`.
#[must_use]
pub fn judge(shown: Health, outcomes: Outcomes) -> Health {
    if outcomes.last_failed(3) {
        return Health::Failing;
    }
    let clean = outcomes.failed() == 0;
    match shown {
        Health::Unknown if outcomes.last_failed(1) => Health::Degraded,
        Health::Unknown => Health::Healthy,
        Health::Healthy if outcomes.failed() >= 2 => Health::Degraded,
        Health::Healthy => Health::Healthy,
        Health::Degraded if clean => Health::Healthy,
        Health::Degraded => Health::Degraded,
        Health::Failing if outcomes.last_passed(2) && clean => Health::Healthy,
        Health::Failing if outcomes.last_passed(2) => Health::Degraded,
        Health::Failing => Health::Failing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is shown after each check; `F` failed, `.` passed.
    fn shown_after(checks: &str, first: Health) -> String {
        let (mut shown, mut outcomes) = (first, Outcomes::default());
        let letter = |health| match health {
            Health::Unknown => 'u',
            Health::Healthy => 'h',
            Health::Degraded => 'd',
            Health::Failing => 'f',
        };
        checks
            .chars()
            .map(|check| {
                outcomes = outcomes.then(check == 'F');
                shown = judge(shown, outcomes);
                letter(shown)
            })
            .collect()
    }

    #[test]
    fn the_table() {
        let table = [
            ("a first check that passes", Health::Unknown, ".", "h"),
            ("a first check that fails", Health::Unknown, "F", "d"),
            ("one blip", Health::Healthy, "..F....F..", "hhhhhhhhhh"),
            ("two of four", Health::Healthy, "..F.F", "hhhhd"),
            ("an outage", Health::Healthy, "..FFFF", "hhhdff"),
            ("repaired", Health::Healthy, "FFF....", "hdffddh"),
            ("one pass is no repair", Health::Healthy, "FFF.FF", "hdffff"),
            (
                "a wavering provider",
                Health::Healthy,
                "F.F.F.F.F.",
                "hhdddddddd",
            ),
            (
                "a failed one that fails on",
                Health::Failing,
                "FFFF",
                "ffff",
            ),
            ("failing without a memory", Health::Failing, "..", "fh"),
        ];
        for (what, first, checks, expected) in table {
            assert_eq!(shown_after(checks, first), expected, "{what}");
        }
    }

    #[test]
    fn a_memory_survives_being_stored_and_a_foreign_number_is_none() {
        let outcomes = Outcomes::default().then(true).then(false);
        assert_eq!(Outcomes::of_stored(outcomes.stored()), outcomes);
        for foreign in [-1, 0, 32, 1_000] {
            assert_eq!(Outcomes::of_stored(foreign), Outcomes::default());
        }
    }

    fn changes(shown: &str) -> usize {
        let bytes = shown.as_bytes();
        bytes.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    proptest! {
        /// Alternating, or one failure in every so many: the shown health settles.
        #[test]
        fn a_regular_pattern_does_not_flap(passes in 1_usize..8, times in 1_usize..40, healthy: bool) {
            let pattern = format!("F{}", ".".repeat(passes)).repeat(times);
            let first = if healthy { Health::Healthy } else { Health::Unknown };
            let shown = shown_after(&pattern, first);
            prop_assert!(changes(&shown) <= 2, "{} -> {}", pattern, shown);
        }

        /// Whatever comes: healthy again takes four passes in a row, so of `n` checks at
        /// most one in five can bring a connection back to healthy.
        #[test]
        fn healthy_again_takes_four_passes_in_a_row(checks in "[F.]{1,200}") {
            let shown = shown_after(&checks, Health::Healthy);
            let shown: Vec<char> = shown.chars().collect();
            for at in 1..shown.len() {
                if shown[at] == 'h' && shown[at - 1] != 'h' {
                    prop_assert!(at >= 3 && checks[at - 3..=at] == *"....", "{} at {}", checks, at);
                }
            }
        }

        #[test]
        fn failing_means_three_failures_in_a_row(checks in "[F.]{1,200}") {
            let shown: Vec<char> = shown_after(&checks, Health::Healthy).chars().collect();
            for at in 1..shown.len() {
                if shown[at] == 'f' && shown[at - 1] != 'f' {
                    prop_assert!(checks[..=at].ends_with("FFF"), "{} at {}", checks, at);
                }
            }
        }
    }
}
