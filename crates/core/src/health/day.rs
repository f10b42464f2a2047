//! The counts of a day, hour by hour: one row a connection and day.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::{tally::Tally, varint};

/// Counts by hour of the day, UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day(pub BTreeMap<u8, Tally>);

/// The day and the hour of it that an hour since 1970 is.
#[must_use]
pub fn place_of(hour: i64) -> (NaiveDate, u8) {
    let at: DateTime<Utc> = DateTime::from_timestamp(hour * 3600, 0).unwrap_or_default();
    let of_day = u8::try_from(hour.rem_euclid(24)).expect("below 24");
    (at.date_naive(), of_day)
}

impl Day {
    /// Adds the counts of an hour of the day.
    pub fn add(&mut self, hour: u8, tally: &Tally) {
        self.0.entry(hour).or_default().merge(tally);
    }

    /// As it is stored; `None` where the bytes are none.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let mut hours = BTreeMap::new();
        while !bytes.is_empty() {
            let hour = varint::take_byte(bytes)?;
            if hour >= 24 {
                return None;
            }
            hours.insert(hour, Tally::read(bytes)?);
        }
        Some(Self(hours))
    }

    /// To be stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (hour, tally) in &self.0 {
            bytes.push(*hour);
            tally.write(&mut bytes);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::Verdict;

    #[test]
    fn an_hour_has_its_place() {
        let day = NaiveDate::from_ymd_opt(1970, 1, 2).unwrap();
        assert_eq!(place_of(24), (day, 0));
        assert_eq!(place_of(47), (day, 23));
    }

    #[test]
    fn a_day_of_five_minute_checks_takes_half_a_kilobyte() {
        let mut day = Day::default();
        for hour in 0..24 {
            let mut tally = Tally::default();
            for minute in 0..12 {
                tally.add(Verdict::Passed, 200 + minute * 10, 300);
            }
            day.add(hour, &tally);
        }
        assert!(day.encode().len() <= 512, "{}", day.encode().len());
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read(checks in prop::collection::vec((0_u8..24, any::<u32>(), any::<bool>()), 0..100)) {
            let mut day = Day::default();
            for (hour, ms, passed) in checks {
                let mut tally = Tally::default();
                tally.add(if passed { Verdict::Passed } else { Verdict::Failed }, ms, 300);
                day.add(hour, &tally);
            }
            prop_assert_eq!(Day::decode(&day.encode()), Some(day));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            if let Some(day) = Day::decode(&bytes) {
                prop_assert!(day.0.len() <= 24);
            }
        }
    }
}
