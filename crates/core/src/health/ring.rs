//! The last checks of a connection, one after the other, in about five bytes each: seconds
//! since the one before, who asked and what came of it, response time.

use chrono::{DateTime, Utc};

use super::varint;
use crate::{failure::FailureKind, job_args::CheckReason};

/// Checks kept of each connection.
pub const KEPT: usize = 100;

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// When, to the second.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub reason: CheckReason,
    /// What went wrong, if anything did.
    pub failure: Option<FailureKind>,
    /// How long the provider took, in milliseconds.
    pub response_ms: u32,
}

const REASONS: [CheckReason; 3] = [
    CheckReason::Scheduled,
    CheckReason::Manual,
    CheckReason::Auto,
];

/// Appends checks, oldest first. A clock that went back makes them one moment.
pub(super) fn write(checks: &[Check], bytes: &mut Vec<u8>) {
    varint::put(bytes, checks.len() as u64);
    let mut before = 0;
    for check in checks {
        let at = u64::try_from(check.at.timestamp()).unwrap_or(0).max(before);
        varint::put(bytes, at - before);
        before = at;
        let place_of = |kind| FailureKind::ALL.iter().position(|other| *other == kind);
        let outcome = check
            .failure
            .and_then(place_of)
            .map_or(0, |place| place + 1);
        let reason = REASONS.iter().position(|other| *other == check.reason);
        let both = outcome * REASONS.len() + reason.unwrap_or(0);
        bytes.push(u8::try_from(both).expect("three reasons and few classes"));
        varint::put(bytes, u64::from(check.response_ms));
    }
}

pub(super) fn read(bytes: &mut &[u8]) -> Option<Vec<Check>> {
    let count = varint::take(bytes)?;
    let mut before = 0_u64;
    let mut checks = Vec::new();
    for _ in 0..count {
        before = before.checked_add(varint::take(bytes)?)?;
        let both = usize::from(varint::take_byte(bytes)?);
        let failure = match both / REASONS.len() {
            0 => None,
            place => Some(*FailureKind::ALL.get(place - 1)?),
        };
        checks.push(Check {
            at: DateTime::from_timestamp(i64::try_from(before).ok()?, 0)?,
            reason: REASONS[both % REASONS.len()],
            failure,
            response_ms: varint::take_u32(bytes)?,
        });
    }
    Some(checks)
}

/// The stored ring, oldest first; `None` where the bytes are none.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Check>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    read(&mut bytes)
}

/// The ring to be stored: the newest of these.
#[must_use]
pub fn encode(checks: &[Check]) -> Vec<u8> {
    let newest = &checks[checks.len().saturating_sub(KEPT)..];
    let mut bytes = Vec::new();
    write(newest, &mut bytes);
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        pub fn a_check(second: i64)(
            reason in prop::sample::select(REASONS.to_vec()),
            failure in prop::option::of(prop::sample::select(FailureKind::ALL.to_vec())),
            response_ms: u32,
        ) -> Check {
            let at = DateTime::from_timestamp(second, 0).unwrap();
            Check { at, reason, failure, response_ms }
        }
    }

    proptest! {
        #[test]
        fn the_newest_hundred_come_back(
            gaps in prop::collection::vec(0_i64..4_000, 0..150),
            check in a_check(0),
        ) {
            let mut second = 1_790_000_000;
            let checks: Vec<Check> = gaps.iter().map(|gap| {
                second += gap;
                Check { at: DateTime::from_timestamp(second, 0).unwrap(), ..check }
            }).collect();
            let kept = &checks[checks.len().saturating_sub(KEPT)..];
            prop_assert_eq!(decode(&encode(&checks)).unwrap(), kept);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            if let Some(checks) = decode(&bytes) {
                prop_assert!(checks.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_check_every_five_minutes_takes_five_bytes() {
        let check = |number: i64| Check {
            at: DateTime::from_timestamp(1_790_000_000 + number * 300, 0).unwrap(),
            reason: CheckReason::Scheduled,
            failure: None,
            response_ms: 240,
        };
        let checks: Vec<Check> = (0..100).map(check).collect();
        assert!(encode(&checks).len() <= 510, "{}", encode(&checks).len());
    }
}
