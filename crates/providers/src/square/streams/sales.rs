//! Stream `sales`: the orders of all locations, in groups of ten, the most that one
//! search takes. Orders are never deleted, so a search without times is everything.
//!
//! Everything and ranges walk by `created_at`, which never changes, so no order can slip
//! past the walk; changes walk by `updated_at`. The sort field always matches the filter,
//! as Square demands. A day of a range is a location's own day: locations whose days are
//! other times are searched apart. Where no end is given, Square ends a walk at the time of its first
//! request. A till that was offline delivers its orders up to 72 hours late
//! with their old times, so a run of changes begins that much before the last one; what
//! has not changed since is recognised by its version.

mod range;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::local_time::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::range::Span;
use super::{
    super::{
        client::{Client, Location},
        shape,
    },
    chosen_locations, read_back, records, rfc3339, stored,
};
use crate::{
    error::ProviderError,
    provider::{Page, Pull, PullMode},
    walk::Walk,
};

/// Locations of one search.
const GROUP: usize = 10;

/// Orders of one page. 1,000 are allowed, but long orders make them slow and large.
const LIMIT: usize = 500;

/// How late an order of an offline till can arrive.
const LATE: TimeDelta = TimeDelta::hours(72);

/// Where the stream stands between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    /// Everything up to here was seen...
    until: DateTime<Utc>,
    /// ...of these locations. A location that is not among them is pulled from its beginning.
    locations: Vec<String>,
}

/// Where a run stands.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// Groups still to walk; the first is being walked.
    groups: Vec<Group>,
    walk: Walk,
    /// All locations of this run.
    locations: Vec<String>,
}

/// Locations that are searched together.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    locations: Vec<String>,
    /// Changes since then; left out: every order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// What a range means at these locations. Positions that were written before a range
    /// could be of days have none: theirs is of times, which are the same everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span: Option<Span>,
}

pub(crate) async fn pull(client: &Client<'_>, pull: &Pull) -> Result<Page, ProviderError> {
    let cursor: Option<Cursor> = match pull.mode {
        PullMode::Incremental => read_back(&pull.cursor, "cursor")?,
        PullMode::Range { .. } | PullMode::Full => None,
    };
    let complete = match pull.mode {
        PullMode::Full => true,
        PullMode::Incremental => cursor.is_none(),
        PullMode::Range { .. } => false,
    };
    let position = match read_back(&pull.position, "position")? {
        Some(position) => position,
        None => {
            let chosen = chosen_locations(client.session, client.locations().await?)?;
            let groups = match pull.mode {
                PullMode::Range { from, to } => range::groups(&chosen, (from, to), pull)?,
                PullMode::Incremental | PullMode::Full => groups(&chosen, cursor),
            };
            let locations = chosen.into_iter().map(|location| location.id).collect();
            Position {
                groups,
                walk: Walk::default(),
                locations,
            }
        }
    };
    let Position {
        mut groups,
        walk,
        locations,
    } = position;
    let (records, next) = match groups.first() {
        Some(group) => {
            let answer = client
                .post("/v2/orders/search", &search(group, pull, &walk)?)
                .await?;
            let records = records(answer.rows, shape::sales::record)?;
            let next = walk.after(&records, answer.cursor)?;
            (records, next)
        }
        None => (Vec::new(), None),
    };
    let walk = next.unwrap_or_else(|| {
        groups.drain(..groups.len().min(1));
        Walk::default()
    });
    if !groups.is_empty() {
        let next = stored(&Position {
            groups,
            walk,
            locations,
        });
        return Ok(Page {
            records,
            next: Some(next),
            cursor: None,
            total: None,
            complete,
        });
    }
    let cursor = match pull.mode {
        PullMode::Range { .. } => None,
        PullMode::Incremental | PullMode::Full => Some(stored(&Cursor {
            until: pull.started_at,
            locations,
        })),
    };
    Ok(Page {
        records,
        next: None,
        cursor,
        total: None,
        complete,
    })
}

fn groups(locations: &[Location], cursor: Option<Cursor>) -> Vec<Group> {
    let (known, since) = match cursor {
        Some(Cursor { until, locations }) => (locations, Some(until - LATE)),
        None => (Vec::new(), None),
    };
    let ids = locations.iter().map(|location| &location.id);
    let (old, new): (Vec<&String>, Vec<&String>) = ids.partition(|id| known.contains(id));
    let group = |since| {
        move |ids: &[&String]| Group {
            locations: ids.iter().map(|id| (*id).clone()).collect(),
            since,
            span: None,
        }
    };
    old.chunks(GROUP)
        .map(group(since))
        .chain(new.chunks(GROUP).map(group(None)))
        .collect()
}

fn search(group: &Group, pull: &Pull, walk: &Walk) -> Result<Value, ProviderError> {
    let (filter, sort_field) = match (&pull.mode, group.since) {
        (PullMode::Range { from, to }, _) => {
            let Span { from, to } = match group.span {
                Some(span) => span,
                None => range::span((*from, *to), Tz::UTC, pull)?,
            };
            // Square includes both ends, in whole milliseconds.
            let last = to - TimeDelta::milliseconds(1);
            let range = json!({ "start_at": rfc3339(from), "end_at": rfc3339(last) });
            (
                json!({ "date_time_filter": { "created_at": range } }),
                "CREATED_AT",
            )
        }
        (PullMode::Incremental | PullMode::Full, Some(since)) => (
            json!({ "date_time_filter": { "updated_at": { "start_at": rfc3339(since) } } }),
            "UPDATED_AT",
        ),
        (PullMode::Incremental | PullMode::Full, None) => (json!({}), "CREATED_AT"),
    };
    let mut search = json!({
        "location_ids": group.locations,
        "limit": LIMIT,
        "query": { "filter": filter, "sort": { "sort_field": sort_field, "sort_order": "ASC" } },
    });
    // Drafts are quotes that were never ordered.
    search["query"]["filter"]["state_filter"] =
        json!({ "states": ["OPEN", "COMPLETED", "CANCELED"] });
    if let Some(cursor) = &walk.cursor {
        search["cursor"] = json!(cursor);
    }
    Ok(search)
}
