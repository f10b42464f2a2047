//! `/v2/orders`: search and look-up by id.

use axum::Extension;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::cursor::{Binding, page};
use super::data::{Dataset, OrderState, TimeField};
use super::errors::SquareError;
use super::gate::Caller;
use super::output::Body;
use super::{input, read};

const SCOPE: &str = "ORDERS_READ";
const LOCATIONS_MAX: usize = 10;
const PAGE: usize = 500;
const PAGE_MAX: usize = 1000;
const BATCH_MAX: usize = 100;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    location_ids: Option<Vec<String>>,
    #[serde(default)]
    query: Query,
    limit: Option<i64>,
    #[serde(default)]
    return_entries: bool,
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Query {
    filter: Filter,
    sort: Sort,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    state_filter: Option<StateFilter>,
    date_time_filter: Option<DateTimeFilter>,
    source_filter: Option<SourceFilter>,
    customer_filter: Option<CustomerFilter>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StateFilter {
    states: Vec<OrderState>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DateTimeFilter {
    created_at: Option<TimeRange>,
    updated_at: Option<TimeRange>,
    closed_at: Option<TimeRange>,
}

/// Both ends belong to it. Without an end it ends at the first request for the cursor, so
/// what changes while a client pages belongs to its next walk.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TimeRange {
    start_at: Option<String>,
    end_at: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SourceFilter {
    source_names: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CustomerFilter {
    customer_ids: Vec<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sort {
    sort_field: Option<TimeField>,
    sort_order: Option<SortOrder>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum SortOrder {
    Asc,
    Desc,
}

pub(super) async fn search(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let search: SearchQuery = input::body(&headers, &bytes)?;
    let limit = input::limit(search.limit, PAGE, PAGE_MAX)?;
    let data = read(&caller.dataset);
    let locations = locations(&data, search.location_ids.as_deref())?;
    let field = search.query.sort.sort_field.unwrap_or(TimeField::Created);
    let (from, to) = range(&search.query.filter, field)?;
    let descending = search.query.sort.sort_order != Some(SortOrder::Asc);
    let binding = Binding::new(&caller.merchant_id, "orders/search", &search);
    let mut start = binding.decode(search.cursor.as_deref())?;
    let until = *start
        .until
        .get_or_insert(to.unwrap_or_else(|| data.latest(caller.now)));

    let filter = &search.query.filter;
    let rows = data
        .orders
        .walk(field, descending, (from, until), start.after)
        .filter(|(_, order)| {
            let state = filter.state_filter.as_ref();
            let source = filter.source_filter.as_ref();
            let customer = filter.customer_filter.as_ref();
            locations.contains(&order.location)
                && state.is_none_or(|f| f.states.contains(&order.state))
                && source.is_none_or(|f| f.source_names.iter().any(|name| name == order.source))
                && customer.is_none_or(|f| {
                    let held = order.customer_id.as_deref();
                    f.customer_ids.iter().any(|id| Some(id.as_str()) == held)
                })
        });
    let page = page(&binding, start, limit, caller.quirks, rows);
    let body = if search.return_entries {
        let entries: Vec<Bytes> = page
            .rows
            .iter()
            .map(|order| {
                let entry = serde_json::json!({"order_id": &*order.id, "version": order.version,
                    "location_id": data.locations[order.location].id});
                Bytes::from(entry.to_string())
            })
            .collect();
        Body::new().rows("order_entries", &entries)
    } else {
        Body::new().rows("orders", page.rows.iter().map(|order| &order.json))
    };
    Ok(body.value("cursor", page.cursor).into_response())
}

/// One to ten, all of this merchant.
fn locations(data: &Dataset, asked: Option<&[String]>) -> Result<Vec<usize>, SquareError> {
    const FIELD: &str = "location_ids";
    let asked = asked.ok_or_else(|| {
        SquareError::invalid("MISSING_REQUIRED_PARAMETER", "Missing required parameter.")
            .field(FIELD)
    })?;
    if asked.is_empty() {
        return Err(SquareError::invalid("ARRAY_EMPTY", "Name at least one.").field(FIELD));
    }
    input::at_most(asked, LOCATIONS_MAX, FIELD)?;
    let find = |id: &String| {
        data.locations
            .iter()
            .position(|location| location.id == *id)
            .ok_or_else(|| {
                let detail = format!("This merchant has no location `{id}`.");
                SquareError::invalid("INVALID_VALUE", detail).field(FIELD)
            })
    };
    asked.iter().map(find).collect()
}

/// The one time range, which must be of the field that sorts.
fn range(filter: &Filter, sort: TimeField) -> Result<(Option<i64>, Option<i64>), SquareError> {
    if sort == TimeField::Closed {
        let closed = [OrderState::Completed, OrderState::Canceled];
        let states = filter.state_filter.as_ref().map(|filter| &filter.states);
        if !states.is_some_and(|s| !s.is_empty() && s.iter().all(|state| closed.contains(state))) {
            return Err(SquareError::invalid(
                "BAD_REQUEST",
                "Sorting by CLOSED_AT needs a state_filter with closed states.",
            )
            .field("query.filter.state_filter"));
        }
    }
    let Some(times) = &filter.date_time_filter else {
        return Ok((None, None));
    };
    let named = [
        (TimeField::Created, &times.created_at),
        (TimeField::Updated, &times.updated_at),
        (TimeField::Closed, &times.closed_at),
    ];
    let mut ranges = named
        .into_iter()
        .filter_map(|(field, range)| Some((field, range.as_ref()?)));
    const FIELD: &str = "query.filter.date_time_filter";
    let Some((field, range)) = ranges.next() else {
        return Err(SquareError::invalid("BAD_REQUEST", "Names no time range.").field(FIELD));
    };
    if ranges.next().is_some() {
        return Err(SquareError::invalid(
            "CONFLICTING_PARAMETERS",
            "Only one time range can be searched at a time.",
        )
        .field(FIELD));
    }
    if field != sort {
        return Err(SquareError::invalid(
            "BAD_REQUEST",
            "The sort_field must match the timestamp used in date_time_filter.",
        )
        .field("query.sort.sort_field"));
    }
    let start = input::time(range.start_at.as_deref(), "start_at")?;
    let end = input::time(range.end_at.as_deref(), "end_at")?;
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(
            SquareError::invalid("INVALID_TIME_RANGE", "start_at is after end_at.").field(FIELD),
        );
    }
    Ok((start, end))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchQuery {
    location_id: Option<String>,
    order_ids: Vec<String>,
}

/// Ids that do not exist, or lie at another location, are left out.
pub(super) async fn batch_retrieve(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let query: BatchQuery = input::body(&headers, &bytes)?;
    if query.order_ids.is_empty() {
        return Err(SquareError::invalid("ARRAY_EMPTY", "Holds no ids.").field("order_ids"));
    }
    input::at_most(&query.order_ids, BATCH_MAX, "order_ids")?;
    let data = read(&caller.dataset);
    let location = match &query.location_id {
        Some(id) => locations(&data, Some(std::slice::from_ref(id)))?
            .first()
            .copied(),
        None => None,
    };
    let orders = query
        .order_ids
        .iter()
        .filter_map(|id| data.orders.find(id))
        .filter(|order| location.is_none_or(|location| order.location == location))
        .map(|order| &order.json);
    Ok(Body::new().rows("orders", orders).into_response())
}
