//! Stream `catalog`: items with their variations, categories, taxes, discounts, modifiers.
//!
//! Everything comes through the list, which knows no deleted objects. Changes come
//! through the search, deleted objects included: its `begin_time` is exclusive, and the
//! `latest_time` of its first page is the next cursor, because what changes while we page
//! is later than that. A full run asks for `latest_time` before it lists, for the same reason.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    super::{client::Client, shape},
    read_back, records, rfc3339, since, stored,
};
use crate::{
    error::ProviderError,
    provider::{Page, Pull, PulledRecord},
    walk::Walk,
};

/// What becomes a record. Variations come inside their item and modifiers inside their
/// list; a change of the part is a change of the whole
/// (<https://developer.squareup.com/forums/t/catalog-category-item-variation-and-modifier-versions/1064>).
const TYPES: [&str; 5] = ["ITEM", "CATEGORY", "TAX", "DISCOUNT", "MODIFIER_LIST"];

/// Most objects of a page of changes.
const LIMIT: usize = 1000;

/// Where the stream stands between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    /// Square's `latest_time`.
    latest_time: String,
}

/// Where a run stands.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    walk: Walk,
    /// Cursor of the stream when this run ends.
    latest_time: String,
}

pub(crate) async fn pull(client: &Client<'_>, pull: &Pull) -> Result<Page, ProviderError> {
    let position: Option<Position> = read_back(&pull.position, "position")?;
    match since::<Cursor>(pull)? {
        Some(cursor) => changes(client, cursor, position).await,
        None => everything(client, pull, position).await,
    }
}

async fn everything(
    client: &Client<'_>,
    pull: &Pull,
    position: Option<Position>,
) -> Result<Page, ProviderError> {
    let Position { walk, latest_time } = match position {
        Some(position) => position,
        None => {
            let probe =
                json!({ "object_types": ["ITEM"], "include_deleted_objects": true, "limit": 1 });
            let probe = client.post("/v2/catalog/search", &probe).await?;
            // A seller without a catalog has no latest time: then this run's start is one.
            Position {
                walk: Walk::default(),
                latest_time: probe.latest_time.unwrap_or(rfc3339(pull.started_at)),
            }
        }
    };
    let types = TYPES.join(",");
    let mut query = vec![("types", types.as_str())];
    if let Some(cursor) = &walk.cursor {
        query.push(("cursor", cursor));
    }
    let answer = client.get("/v2/catalog/list", &query).await?;
    let records = records(answer.rows, shape::catalog::record)?;
    page(walk, records, answer.cursor, latest_time, true)
}

async fn changes(
    client: &Client<'_>,
    since: Cursor,
    position: Option<Position>,
) -> Result<Page, ProviderError> {
    let (walk, known) = match position {
        Some(Position { walk, latest_time }) => (walk, Some(latest_time)),
        None => (Walk::default(), None),
    };
    let mut search = json!({
        "object_types": TYPES,
        "include_deleted_objects": true,
        "begin_time": since.latest_time,
        "limit": LIMIT,
    });
    if let Some(cursor) = &walk.cursor {
        search["cursor"] = json!(cursor);
    }
    let answer = client.post("/v2/catalog/search", &search).await?;
    let latest_time = known.or(answer.latest_time).unwrap_or(since.latest_time);
    let records = records(answer.rows, shape::catalog::record)?;
    page(walk, records, answer.cursor, latest_time, false)
}

fn page(
    walk: Walk,
    records: Vec<PulledRecord>,
    next: Option<String>,
    latest_time: String,
    complete: bool,
) -> Result<Page, ProviderError> {
    let next = walk.after(&records, next)?;
    let (next, cursor) = match next {
        Some(walk) => (Some(stored(&Position { walk, latest_time })), None),
        None => (None, Some(stored(&Cursor { latest_time }))),
    };
    Ok(Page {
        records,
        next,
        cursor,
        total: None,
        complete,
    })
}
