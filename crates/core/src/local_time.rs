//! When the clocks of a place show a time, also on the days on which they change.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc, offset::LocalResult};
use chrono_tz::GapInfo;
pub use chrono_tz::Tz;

/// When a local time is: the first of two, or the end of the gap that it falls into.
pub(crate) fn moment(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment.to_utc()),
        LocalResult::None => Some(GapInfo::new(&local, &zone)?.end?.to_utc()),
    }
}

/// The first moment of a day.
pub(crate) fn begin_of(zone: Tz, day: NaiveDate) -> Option<DateTime<Utc>> {
    moment(zone, day.and_time(NaiveTime::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours_of(zone: Tz, day: &str) -> i64 {
        let day: NaiveDate = day.parse().unwrap();
        let end = begin_of(zone, day.succ_opt().unwrap()).unwrap();
        (end - begin_of(zone, day).unwrap()).num_hours()
    }

    #[test]
    fn a_day_is_as_long_as_its_clocks_say() {
        assert_eq!(hours_of(Tz::America__New_York, "2026-01-01"), 24);
        assert_eq!(hours_of(Tz::America__New_York, "2026-11-01"), 25);
        assert_eq!(hours_of(Tz::America__New_York, "2026-03-08"), 23);
        // Midnight itself is left out there...
        assert_eq!(hours_of(Tz::America__Sao_Paulo, "2018-11-04"), 23);
        // ...comes twice there...
        assert_eq!(hours_of(Tz::America__Havana, "2026-11-01"), 25);
        // ...and this whole day never was.
        assert_eq!(hours_of(Tz::Pacific__Apia, "2011-12-30"), 0);
    }
}
