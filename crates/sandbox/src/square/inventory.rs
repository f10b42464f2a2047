//! `/v2/inventory/counts/batch-retrieve`.

use std::collections::HashSet;

use axum::Extension;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::cursor::{Binding, page};
use super::data::STATES;
use super::errors::SquareError;
use super::gate::Caller;
use super::output::Body;
use super::{input, read};

const PAGE_MAX: usize = 1000;
const IDS_MAX: usize = 1000;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CountsQuery {
    catalog_object_ids: Option<Vec<String>>,
    location_ids: Option<Vec<String>>,
    updated_after: Option<String>,
    states: Option<Vec<String>>,
    limit: Option<i64>,
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

/// Counts of what is named (of everything, when nothing is), latest calculation first;
/// `updated_after` is exclusive.
pub(super) async fn batch_retrieve(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    caller.need("INVENTORY_READ")?;
    let query: CountsQuery = input::body(&headers, &bytes)?;
    let limit = input::limit(query.limit, PAGE_MAX, PAGE_MAX)?;
    let after = input::time(query.updated_after.as_deref(), "updated_after")?;
    let (ids, states) = (named(&query.catalog_object_ids), named(&query.states));
    input::at_most(ids, IDS_MAX, "catalog_object_ids")?;
    let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
    if let Some(state) = states
        .iter()
        .find(|state| !STATES.contains(&state.as_str()))
    {
        let detail = format!("{state:?} is not a valid enum value of InventoryState.");
        return Err(SquareError::invalid("INVALID_ENUM_VALUE", detail).field("states"));
    }
    let data = read(&caller.dataset);
    let places: Vec<usize> = named(&query.location_ids)
        .iter()
        .map(|id| {
            data.locations
                .iter()
                .position(|location| location.id == *id)
        })
        .map(|place| {
            place.ok_or_else(|| {
                SquareError::invalid("INVALID_VALUE", "This merchant has no such location.")
                    .field("location_ids")
            })
        })
        .collect::<Result<_, _>>()?;
    let binding = Binding::new(&caller.merchant_id, "inventory/counts", &query);
    let start = binding.decode(query.cursor.as_deref())?;
    let rows = data
        .inventory
        .walk(after, start.after)
        .filter(|(_, count)| {
            (ids.is_empty() || ids.contains(&*count.object_id))
                && (places.is_empty() || places.contains(&count.location))
                && (states.is_empty() || states.iter().any(|state| state == count.state))
        })
        .map(|(place, count)| (place, &count.json));
    let page = page(&binding, start, limit, caller.quirks, rows);
    Ok(Body::new()
        .rows("counts", page.rows)
        .value("cursor", page.cursor)
        .into_response())
}

fn named(list: &Option<Vec<String>>) -> &[String] {
    list.as_deref().unwrap_or_default()
}
