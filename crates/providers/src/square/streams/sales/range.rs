//! What a range means at each location: a day begins and ends by the clocks of the place.
//! Locations for which it is the same time are searched together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use patchbay_core::{local_time::Tz, sync_args::RangeEnd};
use serde::{Deserialize, Serialize};

use super::{GROUP, Group, Location};
use crate::{error::ProviderError, provider::Pull};

/// A range as times: start inclusive, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// The searches of a range. Where it is empty, or its day has not begun yet, there is none.
///
/// # Errors
/// It is of days, and Square does not say where a location's days begin.
pub(super) fn groups(
    locations: &[Location],
    range: (RangeEnd, RangeEnd),
    pull: &Pull,
) -> Result<Vec<Group>, ProviderError> {
    let mut by_span: BTreeMap<Span, Vec<String>> = BTreeMap::new();
    for location in locations {
        let span = span(range, zone(location, range)?, pull)?;
        if span.from < span.to {
            by_span.entry(span).or_default().push(location.id.clone());
        }
    }
    let group = |(span, locations): (Span, Vec<String>)| {
        let chunks = locations.chunks(GROUP).map(move |ids| Group {
            locations: ids.to_vec(),
            since: None,
            span: Some(span),
        });
        chunks.collect::<Vec<_>>()
    };
    Ok(by_span.into_iter().flat_map(group).collect())
}

/// The range by the clocks of a zone. A day that lasts still ends where the run began, so
/// that what is sold while it walks does not prolong it.
pub(super) fn span(
    (from, to): (RangeEnd, RangeEnd),
    zone: Tz,
    pull: &Pull,
) -> Result<Span, ProviderError> {
    let ends = from.begin(zone).zip(to.end(zone));
    let (from, end) = ends.ok_or_else(|| {
        ProviderError::invalid(
            format!("The days {from} to {to} are in no calendar of {zone}."),
            "Ask for other days.",
        )
    })?;
    let to = match to {
        RangeEnd::Time(_) => end,
        RangeEnd::Day(_) => end.min(pull.started_at),
    };
    Ok(Span { from, to })
}

/// The location's zone; for times any will do.
fn zone(location: &Location, (from, to): (RangeEnd, RangeEnd)) -> Result<Tz, ProviderError> {
    if let (RangeEnd::Time(_), RangeEnd::Time(_)) = (from, to) {
        return Ok(Tz::UTC);
    }
    let name = location.timezone.as_deref();
    name.and_then(|name| name.parse().ok()).ok_or_else(|| {
        ProviderError::invalid(
            format!(
                "When the days of the location {} begin is not known: its time zone at Square is `{}`.",
                location.id,
                name.unwrap_or_default()
            ),
            "Ask for the range with times, such as 2026-11-20T08:00:00Z, instead of dates, or leave the location out of the config's `location_ids`.",
        )
    })
}
