//! Stream `customers`. Everything comes through the list, changes through the search by
//! `updated_at`. Square deletes customers for good: only a full run notices.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    super::{
        client::{Answer, Client},
        shape,
    },
    OVERLAP, read_back, records, rfc3339, since, stored,
};
use crate::{
    error::ProviderError,
    provider::{Page, Pull},
    walk::Walk,
};

/// Most customers of a page.
const LIMIT: u32 = 100;

/// Where the stream stands between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    until: DateTime<Utc>,
}

pub(crate) async fn pull(client: &Client<'_>, pull: &Pull) -> Result<Page, ProviderError> {
    let walk: Walk = read_back(&pull.position, "position")?.unwrap_or_default();
    let cursor: Option<Cursor> = since(pull)?;
    let complete = cursor.is_none();
    let answer = match cursor {
        Some(Cursor { until }) => changes(client, until, &walk).await?,
        None => everything(client, &walk).await?,
    };
    let records = records(answer.rows, shape::customers::record)?;
    let (next, cursor) = match walk.after(&records, answer.cursor)? {
        Some(walk) => (Some(stored(&walk)), None),
        None => (
            None,
            Some(stored(&Cursor {
                until: pull.started_at,
            })),
        ),
    };
    Ok(Page {
        records,
        next,
        cursor,
        total: answer.count,
        complete,
    })
}

async fn everything(client: &Client<'_>, walk: &Walk) -> Result<Answer, ProviderError> {
    let limit = LIMIT.to_string();
    let mut query = vec![
        ("limit", limit.as_str()),
        ("sort_field", "CREATED_AT"),
        ("sort_order", "ASC"),
        ("count", "true"),
    ];
    if let Some(cursor) = &walk.cursor {
        query.push(("cursor", cursor));
    }
    client.get("/v2/customers", &query).await
}

async fn changes(
    client: &Client<'_>,
    until: DateTime<Utc>,
    walk: &Walk,
) -> Result<Answer, ProviderError> {
    let mut search = json!({
        "limit": LIMIT,
        "count": true,
        "query": {
            "filter": { "updated_at": { "start_at": rfc3339(until - OVERLAP) } },
            "sort": { "field": "CREATED_AT", "order": "ASC" },
        },
    });
    if let Some(cursor) = &walk.cursor {
        search["cursor"] = json!(cursor);
    }
    client.post("/v2/customers/search", &search).await
}
