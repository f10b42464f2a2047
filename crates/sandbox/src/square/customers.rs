//! `/v2/customers`: list and search.

use axum::Extension;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::cursor::{Binding, page};
use super::errors::SquareError;
use super::gate::Caller;
use super::orders::SortOrder;
use super::output::Body;
use super::{input, read};

const SCOPE: &str = "CUSTOMERS_READ";
const PAGE_MAX: usize = 100;

/// `DEFAULT` is by name at Square; here every order is the order of creation, which a
/// client that reads all pages cannot tell apart.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SortField {
    Default,
    CreatedAt,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<i64>,
    sort_field: Option<SortField>,
    sort_order: Option<SortOrder>,
    #[serde(default)]
    count: bool,
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

pub(super) async fn list(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let query: ListQuery = input::query(&uri)?;
    let limit = input::limit(query.limit, PAGE_MAX, PAGE_MAX)?;
    let binding = Binding::new(&caller.merchant_id, "customers", &query);
    let start = binding.decode(query.cursor.as_deref())?;
    let data = read(&caller.dataset);
    let descending = query.sort_order == Some(SortOrder::Desc);
    let rows = data
        .customers
        .walk(descending, start.after)
        .map(|(place, row)| (place, &row.json));
    let page = page(&binding, start, limit, caller.quirks, rows);
    Ok(Body::new()
        .rows("customers", page.rows)
        .value("cursor", page.cursor)
        .value("count", query.count.then(|| data.customers.len()))
        .into_response())
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    #[serde(default)]
    query: Query,
    limit: Option<i64>,
    #[serde(default)]
    count: bool,
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
    created_at: Option<TimeRange>,
    updated_at: Option<TimeRange>,
    email_address: Option<Exact>,
    reference_id: Option<Exact>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TimeRange {
    start_at: Option<String>,
    end_at: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Exact {
    exact: String,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sort {
    field: Option<SortField>,
    order: Option<SortOrder>,
}

/// Milliseconds from, to; from included, to not.
struct Span(Option<i64>, Option<i64>);

impl Span {
    fn of(range: Option<&TimeRange>, field: &str) -> Result<Self, SquareError> {
        let Some(range) = range else {
            return Ok(Self(None, None));
        };
        let start = input::time(range.start_at.as_deref(), "start_at")?;
        let end = input::time(range.end_at.as_deref(), "end_at")?;
        if start.zip(end).is_some_and(|(start, end)| start > end) {
            return Err(
                SquareError::invalid("INVALID_TIME_RANGE", "start_at is after end_at.")
                    .field(format!("query.filter.{field}")),
            );
        }
        Ok(Self(start, end))
    }

    fn contains(&self, at: i64) -> bool {
        self.0.is_none_or(|start| at >= start) && self.1.is_none_or(|end| at < end)
    }
}

pub(super) async fn search(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let search: SearchQuery = input::body(&headers, &bytes)?;
    let limit = input::limit(search.limit, PAGE_MAX, PAGE_MAX)?;
    let filter = &search.query.filter;
    let created = Span::of(filter.created_at.as_ref(), "created_at")?;
    let updated = Span::of(filter.updated_at.as_ref(), "updated_at")?;
    let binding = Binding::new(&caller.merchant_id, "customers/search", &search);
    let start = binding.decode(search.cursor.as_deref())?;
    let data = read(&caller.dataset);
    let descending = search.query.sort.order == Some(SortOrder::Desc);
    let matching = |after| {
        data.customers.walk(descending, after).filter(|(_, row)| {
            let same = |wanted: Option<&Exact>, held: Option<&String>| {
                wanted.is_none_or(|wanted| held == Some(&wanted.exact))
            };
            created.contains(row.created_at)
                && updated.contains(row.updated_at)
                && same(filter.email_address.as_ref(), row.email.as_ref())
                && same(filter.reference_id.as_ref(), row.reference_id.as_ref())
        })
    };
    let rows = matching(start.after).map(|(place, row)| (place, &row.json));
    let page = page(&binding, start, limit, caller.quirks, rows);
    Ok(Body::new()
        .rows("customers", page.rows)
        .value("cursor", page.cursor)
        .value("count", search.count.then(|| matching(None).count()))
        .into_response())
}
