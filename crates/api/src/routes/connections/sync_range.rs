//! The time span of a `range` sync.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
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
    pub from: DateTime<Utc>,
    /// To, exclusive.
    pub to: DateTime<Utc>,
    /// A preset moves with the clock, so it is known by its name.
    pub name: String,
}

/// A day's date may be ahead of UTC's by this much (UTC+14, the Line Islands).
const AHEAD_OF_UTC: TimeDelta = TimeDelta::hours(14);

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
                from: now - length,
                to: now,
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
    let from = bound("/from", from, now, Side::From);
    let to = to.map_or(Ok(now), |to| bound("/to", to, now, Side::To));
    match (from, to) {
        (Ok(from), Ok(to)) if from < to => Ok(Span {
            from,
            to,
            name: format!("{}..{}", from.to_rfc3339(), to.to_rfc3339()),
        }),
        (Ok(_), Ok(_)) => Err(vec![FieldError::at("/from", "must be before `to`")]),
        (from, to) => Err([from.err(), to.err()].into_iter().flatten().collect()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    To,
}

fn bound(
    pointer: &str,
    text: &str,
    now: DateTime<Utc>,
    side: Side,
) -> Result<DateTime<Utc>, FieldError> {
    let future = || FieldError::at(pointer, "is in the future");
    if let Ok(date) = text.parse::<NaiveDate>() {
        if date > (now + AHEAD_OF_UTC).date_naive() {
            return Err(future());
        }
        // `to` includes its day.
        let day = match side {
            Side::From => Some(date),
            Side::To => date.checked_add_days(Days::new(1)),
        };
        let day = day.ok_or_else(|| FieldError::at(pointer, "is no date of this calendar"))?;
        return Ok(day.and_time(NaiveTime::MIN).and_utc().min(now));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if time > now => Err(future()),
        Ok(time) => Ok(time.to_utc()),
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

    #[test]
    fn a_date_means_its_whole_day() {
        let span = span(at(NOW), None, Some("2026-11-17"), Some("2026-11-18")).unwrap();
        assert_eq!(
            (span.from, span.to),
            (at("2026-11-17T00:00:00Z"), at("2026-11-19T00:00:00Z"))
        );
    }

    #[test]
    fn today_ends_now() {
        let today = span(at(NOW), None, Some("2026-11-20"), Some("2026-11-20")).unwrap();
        assert_eq!(
            (today.from, today.to),
            (at("2026-11-20T00:00:00Z"), at(NOW))
        );
        let open = span(at(NOW), None, Some("2026-11-20T07:00:00+00:00"), None).unwrap();
        assert_eq!(open.to, at(NOW));
    }

    #[test]
    fn a_preset_is_known_by_its_name_and_ends_now() {
        let week = span(at(NOW), Some(Preset::Last7Days), None, None).unwrap();
        assert_eq!(
            (week.from, week.to, week.name.as_str()),
            (at("2026-11-13T08:00:00Z"), at(NOW), "last_7_days")
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
