//! The time span of a `range` sync.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use patchbay_core::sync_args::RangeEnd;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::FieldError;

/// Spans that people ask for, ending now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Preset {
    /// The last 24 hours.
    #[serde(rename = "last_24h")]
    Last24h,
    /// The last seven times 24 hours.
    #[serde(rename = "last_7_days")]
    Last7Days,
}

/// A span, and what tells it from another in a dedupe key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From, inclusive.
    pub from: RangeEnd,
    /// To: a time is exclusive, a day is part of it.
    pub to: RangeEnd,
    /// A preset moves with the clock, so it is known by its name.
    pub name: String,
}

/// A day's date may be ahead of UTC's by this much (UTC+14, the Line Islands).
const AHEAD_OF_UTC: TimeDelta = TimeDelta::hours(14);

/// And behind by this much (UTC-12, at sea).
const BEHIND_UTC: TimeDelta = TimeDelta::hours(12);

/// Reads a span: a preset, or `from` and `to` (`to` is now where it is not said).
pub fn span(
    now: DateTime<Utc>,
    preset: Option<Preset>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Span, Vec<FieldError>> {
    if let Some(preset) = preset {
        let mut errors = Vec::new();
        for (pointer, given) in [("/from", from), ("/to", to)] {
            if given.is_some() {
                errors.push(FieldError::at(
                    pointer,
                    "goes not together with `preset`; send one or the other",
                ));
            }
        }
        let (length, name) = match preset {
            Preset::Last24h => (TimeDelta::hours(24), "last_24h"),
            Preset::Last7Days => (TimeDelta::days(7), "last_7_days"),
        };
        return if errors.is_empty() {
            Ok(Span {
                from: (now - length).into(),
                to: now.into(),
                name: name.into(),
            })
        } else {
            Err(errors)
        };
    }
    let Some(from) = from else {
        return Err(vec![FieldError::at(
            "/from",
            "is required with mode `range`, unless `preset` is given",
        )]);
    };
    let from = end("/from", from, now);
    let to = to.map_or(Ok(now.into()), |to| end("/to", to, now));
    match (from, to) {
        (Ok(from), Ok(to)) if is_somewhere(from, to) => Ok(Span {
            from,
            to,
            name: format!("{from}..{to}"),
        }),
        (Ok(_), Ok(_)) => Err(vec![FieldError::at("/from", "must be before `to`")]),
        (from, to) => Err([from.err(), to.err()].into_iter().flatten().collect()),
    }
}

/// Whether there is a place on earth where the one is before the other.
fn is_somewhere(from: RangeEnd, to: RangeEnd) -> bool {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    match (from, to) {
        (RangeEnd::Time(from), RangeEnd::Time(to)) => from < to,
        (RangeEnd::Day(from), RangeEnd::Day(to)) => from <= to,
        (RangeEnd::Day(from), RangeEnd::Time(to)) => midnight(from) - AHEAD_OF_UTC < to,
        (RangeEnd::Time(from), RangeEnd::Day(to)) => {
            from < midnight(to) + TimeDelta::days(1) + BEHIND_UTC
        }
    }
}

fn end(pointer: &str, text: &str, now: DateTime<Utc>) -> Result<RangeEnd, FieldError> {
    let future = || FieldError::at(pointer, "is in the future");
    if let Ok(day) = text.parse::<NaiveDate>() {
        // RFC 3339 knows four digits of a year, and so do the providers.
        return match day {
            day if day > (now + AHEAD_OF_UTC).date_naive() => Err(future()),
            day if day.year() < 0 => Err(FieldError::at(pointer, "is no date of this calendar")),
            day => Ok(RangeEnd::Day(day)),
        };
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if time > now => Err(future()),
        Ok(time) => Ok(time.to_utc().into()),
        Err(_) => Err(FieldError::at(
            pointer,
            "must be a time such as 2026-11-20T08:00:00Z (RFC 3339) or a date such as 2026-11-20",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn pointers(result: Result<Span, Vec<FieldError>>) -> Vec<String> {
        result
            .unwrap_err()
            .into_iter()
            .filter_map(|error| error.pointer)
            .collect()
    }

    const NOW: &str = "2026-11-20T08:00:00Z";

    fn day(text: &str) -> RangeEnd {
        RangeEnd::Day(text.parse().unwrap())
    }

    #[test]
    fn a_date_stays_a_date_for_where_the_seller_is_says_when_it_begins() {
        let some = span(at(NOW), None, Some("2026-11-17"), Some("2026-11-18")).unwrap();
        assert_eq!((some.from, some.to), (day("2026-11-17"), day("2026-11-18")));
        assert_eq!(some.name, "2026-11-17..2026-11-18");
        // It is the 21st already on some islands, and nowhere the 22nd.
        let late = at("2026-11-20T20:00:00Z");
        let today = span(late, None, Some("2026-11-21"), Some("2026-11-21")).unwrap();
        assert_eq!(
            (today.from, today.to),
            (day("2026-11-21"), day("2026-11-21"))
        );
        assert_eq!(
            pointers(span(late, None, Some("2026-11-22"), None)),
            ["/from"]
        );
    }

    #[test]
    fn what_is_open_ends_now() {
        let open = span(at(NOW), None, Some("2026-11-20T07:00:00+00:00"), None).unwrap();
        assert_eq!(open.to, at(NOW).into());
        let since = span(at(NOW), None, Some("2026-11-20"), None).unwrap();
        assert_eq!((since.from, since.to), (day("2026-11-20"), at(NOW).into()));
    }

    #[test]
    fn a_date_and_a_time_go_together_where_any_place_has_them_in_this_order() {
        let order = |from, to| span(at(NOW), None, Some(from), Some(to)).is_ok();
        // The 18th has begun at 10:00 of the 17th in UTC on some islands, not before.
        assert!(order("2026-11-18", "2026-11-17T10:00:01Z"));
        assert!(!order("2026-11-18", "2026-11-17T10:00:00Z"));
        // And it ends at noon of the 19th at the last.
        assert!(order("2026-11-19T11:59:59Z", "2026-11-18"));
        assert!(!order("2026-11-19T12:00:00Z", "2026-11-18"));
    }

    #[test]
    fn a_preset_is_known_by_its_name_and_ends_now() {
        let week = span(at(NOW), Some(Preset::Last7Days), None, None).unwrap();
        assert_eq!(
            (week.from, week.to, week.name.as_str()),
            (
                at("2026-11-13T08:00:00Z").into(),
                at(NOW).into(),
                "last_7_days"
            )
        );
        assert_eq!(
            pointers(span(
                at(NOW),
                Some(Preset::Last24h),
                Some("2026-11-01"),
                Some("x")
            )),
            ["/from", "/to"]
        );
    }

    #[test]
    fn what_is_backwards_in_the_future_or_no_time_is_refused() {
        assert_eq!(
            pointers(span(at(NOW), None, Some("2026-11-18"), Some("2026-11-17"))),
            ["/from"]
        );
        assert_eq!(
            pointers(span(at(NOW), None, Some("2026-12-18"), Some("2027-11-17"))),
            ["/from", "/to"]
        );
        assert_eq!(
            pointers(span(at(NOW), None, Some("2026-11-20T08:00:01Z"), None)),
            ["/from"]
        );
        assert_eq!(
            pointers(span(at(NOW), None, Some("yesterday"), Some("20.11.2026"))),
            ["/from", "/to"]
        );
        assert_eq!(pointers(span(at(NOW), None, None, None)), ["/from"]);
    }
}
