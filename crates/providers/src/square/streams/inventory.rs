//! Stream `inventory`: how much of each variation is in which state at which location.
//! Changes go by `updated_after`, the time a count was calculated.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    super::{client::Client, shape},
    OVERLAP, filter, read_back, records, rfc3339, since, stored,
};
use crate::{
    error::ProviderError,
    provider::{Page, Pull},
    walk::Walk,
};

/// Most counts of a page.
const LIMIT: usize = 1000;

/// Where the stream stands between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    until: DateTime<Utc>,
    /// The choice of locations it was made with. Another one starts from the beginning.
    locations: Vec<String>,
}

pub(crate) async fn pull(client: &Client<'_>, pull: &Pull) -> Result<Page, ProviderError> {
    let walk: Walk = read_back(&pull.position, "position")?.unwrap_or_default();
    let locations = filter(client.session);
    let since = since(pull)?.filter(|cursor: &Cursor| cursor.locations == locations);
    let mut request = json!({ "limit": LIMIT });
    if !locations.is_empty() {
        request["location_ids"] = json!(locations);
    }
    if let Some(Cursor { until, .. }) = &since {
        request["updated_after"] = json!(rfc3339(*until - OVERLAP));
    }
    if let Some(cursor) = &walk.cursor {
        request["cursor"] = json!(cursor);
    }
    let answer = client
        .post("/v2/inventory/counts/batch-retrieve", &request)
        .await?;
    let records = records(answer.rows, shape::inventory::record)?;
    let (next, cursor) = match walk.after(&records, answer.cursor)? {
        Some(walk) => (Some(stored(&walk)), None),
        None => (
            None,
            Some(stored(&Cursor {
                until: pull.started_at,
                locations,
            })),
        ),
    };
    Ok(Page {
        records,
        next,
        cursor,
        total: None,
        complete: since.is_none(),
    })
}
