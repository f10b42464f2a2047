//! Response times counted in fixed buckets, so that percentiles of a month come from a few
//! hundred bytes. Below 16 ms each millisecond has a bucket of its own; above, each doubling
//! has eight of equal width. A bucket is told as its middle, so a percentile is off by at
//! most 1/16 (6.25 %). Longer than 131 s counts as 131 s.

use std::collections::BTreeMap;

use super::varint;

/// The longest time told apart, in milliseconds.
const LONGEST: u32 = (1 << 17) - 1;

/// How many checks took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency(BTreeMap<u8, u32>);

fn bucket(ms: u32) -> u8 {
    let ms = ms.min(LONGEST);
    if ms < 8 {
        return u8::try_from(ms).expect("below 8");
    }
    // The three bits below the highest one choose among the eight of a doubling.
    let doubling = ms.ilog2() - 3;
    u8::try_from(doubling * 8 + (ms >> doubling)).expect("at most 14 * 8 + 15")
}

/// The first millisecond of a bucket, and how many it has.
fn span(bucket: u8) -> (u32, u32) {
    let bucket = u32::from(bucket);
    if bucket < 16 {
        return (bucket, 1);
    }
    let doubling = bucket / 8 - 1;
    ((bucket % 8 + 8) << doubling, 1 << doubling)
}

impl Latency {
    /// Counts a response.
    pub fn add(&mut self, ms: u32) {
        let count = self.0.entry(bucket(ms)).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, more) in &other.0 {
            let count = self.0.entry(*bucket).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// The time that `percent` of the responses did not exceed (nearest rank), in
    /// milliseconds, off by at most 1/16; `None` without responses.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u32> {
        let all: u64 = self.0.values().map(|count| u64::from(*count)).sum();
        let rank = (all * u64::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        for (bucket, count) in &self.0 {
            below += u64::from(*count);
            if below >= rank {
                let (first, width) = span(*bucket);
                return Some(first + (width - 1) / 2);
            }
        }
        None
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        varint::put(bytes, self.0.len() as u64);
        for (bucket, count) in &self.0 {
            bytes.push(*bucket);
            varint::put(bytes, u64::from(*count));
        }
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let buckets = varint::take(bytes)?;
        let mut counts = BTreeMap::new();
        for _ in 0..buckets.min(256) {
            let bucket = varint::take_byte(bytes)?;
            // A bucket that no time falls into was written by nobody.
            if bucket > self::bucket(LONGEST) {
                return None;
            }
            counts.insert(bucket, varint::take_u32(bytes)?);
        }
        Some(Self(counts))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for number in 0..=bucket(LONGEST) {
            let (first, width) = span(number);
            assert_eq!(first, next, "bucket {number}");
            assert_eq!(bucket(first), number);
            assert_eq!(bucket(first + width - 1), number);
            next = first + width;
        }
        assert_eq!(next, LONGEST + 1);
    }

    #[test]
    fn small_times_are_exact() {
        for ms in 0..16 {
            let mut latency = Latency::default();
            latency.add(ms);
            assert_eq!(latency.percentile(50), Some(ms));
        }
    }

    proptest! {
        #[test]
        fn a_percentile_is_off_by_a_sixteenth_at_most(
            times in prop::collection::vec(0..LONGEST, 1..200), percent in 1_u8..=100,
        ) {
            let mut latency = Latency::default();
            times.iter().for_each(|ms| latency.add(*ms));
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let rank = (sorted.len() * usize::from(percent)).div_ceil(100);
            let exact = f64::from(sorted[rank - 1]);
            let told = f64::from(latency.percentile(percent).unwrap());
            prop_assert!((told - exact).abs() <= exact / 16.0, "{} for {}", told, exact);
        }

        #[test]
        fn what_was_written_is_read(times: Vec<u32>) {
            let mut latency = Latency::default();
            times.iter().for_each(|ms| latency.add(*ms));
            let mut bytes = Vec::new();
            latency.write(&mut bytes);
            prop_assert_eq!(Latency::read(&mut bytes.as_slice()), Some(latency));
        }
    }
}
