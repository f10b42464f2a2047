//! The records of a connection, in the order of their changes.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{entities::record, ids::ConnectionId, store::records::RecordFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{find, tested};
use crate::{
    access::Caller,
    extract::{Id, Query},
    pages::{self, List},
    problem::{FieldError, Problem, ProblemBody},
    state::Api,
};

/// One pulled object.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Record)]
pub struct RecordView {
    /// The provider's id.
    external_id: String,
    /// What it is within the stream: `item`, `category`, `order`.
    kind: String,
    /// The unified shape: money in minor units with its currency, quantities as exact decimals.
    #[schema(value_type = Object)]
    data: Value,
    /// The provider's own shape; only with `raw=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    raw: Option<Value>,
    /// Number of its last change within the stream.
    change_no: i64,
    /// When it first came.
    first_seen: DateTime<Utc>,
    /// When it last changed.
    last_changed: DateTime<Utc>,
    /// When it was found to be gone; its last shape stays.
    deleted_at: Option<DateTime<Utc>>,
}

impl RecordView {
    fn of(row: record::Model, raw: bool) -> Self {
        Self {
            external_id: row.external_id,
            kind: row.kind,
            data: row.data,
            raw: raw.then_some(row.raw),
            change_no: row.change_no,
            first_seen: row.first_seen,
            last_changed: row.last_changed,
            deleted_at: row.deleted_at,
        }
    }
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordPage {
    /// In the order of their last change.
    data: Vec<RecordView>,
    /// Cursor of the next page; null where there are no more changes now.
    next: Option<String>,
    /// Cursor after this page, also where it is the last: keep it, and ask with it later for
    /// what has changed since.
    changed_since: Option<String>,
}

/// Which records to read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecordsQuery {
    /// Key of the stream.
    #[param(required = true)]
    stream: Option<String>,
    /// Only this kind of object within the stream.
    kind: Option<String>,
    /// `changed_since` of an earlier answer: only what has changed since, deletions included.
    changed_since: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// `true`: deleted records too. Always so with `changed_since`.
    deleted: Option<bool>,
    /// `true`: the provider's own shape too.
    raw: Option<bool>,
    /// Entries of the page: 1 to 200, 50 if not said.
    limit: Option<u64>,
}

/// Reads the records of a stream, oldest change first. A record that changes again moves to the
/// end, so a reader that goes on from the last cursor it saw misses nothing.
#[utoipa::path(
    get, path = "/connections/{id}/records", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), RecordsQuery),
    responses(
        (status = 200, body = RecordPage),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(query): Query<RecordsQuery>,
) -> Result<Json<RecordPage>, Problem> {
    let limit = pages::limit(query.limit)?;
    if query.cursor.is_some() && query.changed_since.is_some() {
        return Err(Problem::query(vec![FieldError::parameter(
            "changed_since",
            "goes not together with `cursor`, which continues either kind of list",
        )]));
    }
    let since = query.changed_since.as_deref();
    // The cursor of a list that shows deletions says so, for its later pages.
    let place: Option<Place> = pages::place(List::Records, query.cursor.as_deref().or(since))?;
    let with_deleted = query.deleted.unwrap_or(false)
        || since.is_some()
        || place.is_some_and(|place| place.deleted);
    let row = find(&api, &caller, id).await?;
    let manifest = tested::manifest_of(&api, &row)?;
    let stream = match query
        .stream
        .as_deref()
        .map(|key| (key, manifest.stream(key)))
    {
        Some((_, Some(stream))) => &stream.key,
        Some((_, None)) | None => {
            let known: Vec<&str> = manifest
                .streams
                .iter()
                .map(|stream| stream.key.as_str())
                .collect();
            let message = format!(
                "must be a stream of {}; there are: {}",
                manifest.label,
                known.join(", ")
            );
            return Err(Problem::query(vec![FieldError::parameter(
                "stream", message,
            )]));
        }
    };
    let after = place.map_or(0, |place| place.change_no);
    let filter = RecordFilter {
        after,
        with_deleted,
        kind: query.kind,
    };
    let mut rows = api
        .store
        .records(caller.org, id, stream, &filter, limit + 1)
        .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = rows.last().map_or(after, |row| row.change_no);
    let next = more.then(|| {
        pages::cursor(
            List::Records,
            &Place {
                change_no: last,
                deleted: with_deleted,
            },
        )
    });
    let changed_since = Some(pages::cursor(
        List::Records,
        &Place {
            change_no: last,
            deleted: true,
        },
    ));
    let raw = query.raw.unwrap_or(false);
    Ok(Json(RecordPage {
        data: rows
            .into_iter()
            .map(|row| RecordView::of(row, raw))
            .collect(),
        next,
        changed_since,
    }))
}

/// Where a list of records stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    change_no: i64,
    deleted: bool,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.change_no, u8::from(self.deleted))
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (change_no, deleted) = text.split_once(':').ok_or(())?;
        let change_no = change_no.parse().map_err(|_| ())?;
        match deleted {
            "0" => Ok(Self {
                change_no,
                deleted: false,
            }),
            "1" => Ok(Self {
                change_no,
                deleted: true,
            }),
            _ => Err(()),
        }
    }
}
