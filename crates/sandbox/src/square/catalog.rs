//! `/v2/catalog`: list, search, and look-up by id.

use std::collections::BTreeSet;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cursor::{Binding, Place, page};
use super::data::{Catalog, ObjectKind};
use super::errors::SquareError;
use super::gate::Caller;
use super::output::Body;
use super::{input, read};
use crate::clock::rfc3339;

const SCOPE: &str = "ITEMS_READ";
/// Fixed: the endpoint takes no limit.
const LIST_PAGE: usize = 100;
const SEARCH_MAX: usize = 1000;
const BATCH_MAX: usize = 1000;
/// Types of Square's `CatalogObjectType` that this stand-in knows but has no objects of.
const WITHOUT_OBJECTS: [&str; 12] = [
    "IMAGE",
    "PRICING_RULE",
    "PRODUCT_SET",
    "TIME_PERIOD",
    "MEASUREMENT_UNIT",
    "SUBSCRIPTION_PLAN",
    "SUBSCRIPTION_PLAN_VARIATION",
    "ITEM_OPTION",
    "ITEM_OPTION_VAL",
    "CUSTOM_ATTRIBUTE_DEFINITION",
    "QUICK_AMOUNTS_SETTINGS",
    "AVAILABILITY_PERIOD",
];

/// The types to answer with; none named means every type that is not nested.
fn kinds<'a>(
    field: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<ObjectKind>, SquareError> {
    let mut kinds = Vec::new();
    let mut named = false;
    for name in names {
        named = true;
        let upper = name.trim().to_ascii_uppercase();
        match ObjectKind::ALL
            .into_iter()
            .find(|kind| kind.name() == upper)
        {
            Some(kind) => kinds.push(kind),
            None if WITHOUT_OBJECTS.contains(&upper.as_str()) => {}
            None => {
                let detail = format!("{name:?} is not a valid enum value of CatalogObjectType.");
                return Err(SquareError::invalid("INVALID_ENUM_VALUE", detail).field(field));
            }
        }
    }
    Ok(if named {
        kinds
    } else {
        ObjectKind::ALL
            .into_iter()
            .filter(|k| k.top_level())
            .collect()
    })
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    types: Option<String>,
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

pub(super) async fn list(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let query: ListQuery = input::query(&uri)?;
    let kinds = kinds(
        "types",
        query.types.iter().flat_map(|types| types.split(',')),
    )?;
    let binding = Binding::new(&caller.merchant_id, "catalog/list", &query);
    let start = binding.decode(query.cursor.as_deref())?;
    let data = read(&caller.dataset);
    let first = start.after.map_or(0, |place| place.row + 1);
    let objects = data
        .catalog
        .objects()
        .get(first as usize..)
        .unwrap_or_default();
    let rows = (first..)
        .zip(objects)
        .filter(|(_, object)| !object.deleted && kinds.contains(&object.kind))
        .map(|(row, object)| (Place { key: 0, row }, &object.json));
    let page = page(&binding, start, LIST_PAGE, caller.quirks, rows);
    Ok(Body::new()
        .rows("objects", page.rows)
        .value("cursor", page.cursor)
        .into_response())
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    #[serde(default)]
    object_types: Vec<String>,
    begin_time: Option<String>,
    #[serde(default)]
    include_deleted_objects: bool,
    #[serde(default)]
    include_related_objects: bool,
    limit: Option<i64>,
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

pub(super) async fn search(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let query: SearchQuery = input::body(&headers, &bytes)?;
    let kinds = kinds(
        "object_types",
        query.object_types.iter().map(String::as_str),
    )?;
    let limit = input::limit(query.limit, SEARCH_MAX, SEARCH_MAX)?;
    let begin = input::time(query.begin_time.as_deref(), "begin_time")?;
    let binding = Binding::new(&caller.merchant_id, "catalog/search", &query);
    let start = binding.decode(query.cursor.as_deref())?;

    let data = read(&caller.dataset);
    // `begin_time` is exclusive: after every row of that very millisecond.
    let after = match (start.after, begin) {
        (Some(Place { key, row }), _) => (key, row),
        (None, Some(begin)) => (begin, u32::MAX),
        (None, None) => (i64::MIN, 0),
    };
    let rows = data
        .catalog
        .changed_after(after)
        .filter_map(|(key, row)| {
            Some((
                Place { key, row },
                data.catalog.objects().get(row as usize)?,
            ))
        })
        .filter(|(_, object)| {
            kinds.contains(&object.kind) && (query.include_deleted_objects || !object.deleted)
        })
        .map(|(place, object)| (place, &object.json));
    let page = page(&binding, start, limit, caller.quirks, rows);
    let related = query
        .include_related_objects
        .then(|| related(&data.catalog, &page.rows));
    Ok(Body::new()
        .rows("objects", page.rows)
        .value("cursor", page.cursor)
        .rows("related_objects", related.unwrap_or_default())
        .value("latest_time", Some(rfc3339(data.catalog.latest_change())))
        .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchQuery {
    object_ids: Vec<String>,
    #[serde(default)]
    include_related_objects: bool,
    #[serde(default)]
    include_deleted_objects: bool,
}

/// Ids that do not exist are left out, as Square does.
pub(super) async fn batch_retrieve(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let query: BatchQuery = input::body(&headers, &bytes)?;
    if query.object_ids.is_empty() {
        return Err(SquareError::invalid("ARRAY_EMPTY", "Holds no ids.").field("object_ids"));
    }
    input::at_most(&query.object_ids, BATCH_MAX, "object_ids")?;
    let data = read(&caller.dataset);
    let rows: Vec<&Bytes> = query
        .object_ids
        .iter()
        .filter_map(|id| data.catalog.find(id))
        .filter(|object| query.include_deleted_objects || !object.deleted)
        .map(|object| &object.json)
        .collect();
    let related = query
        .include_related_objects
        .then(|| related(&data.catalog, &rows));
    Ok(Body::new()
        .rows("objects", rows)
        .rows("related_objects", related.unwrap_or_default())
        .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectQuery {
    #[serde(default)]
    include_related_objects: bool,
}

pub(super) async fn object(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, SquareError> {
    caller.need(SCOPE)?;
    let query: ObjectQuery = input::query(&uri)?;
    let data = read(&caller.dataset);
    let object = data
        .catalog
        .find(&id)
        .filter(|object| !object.deleted)
        .ok_or_else(|| {
            SquareError::not_found(format!("Catalog object with ID `{id}` not found."))
        })?;
    let related = query
        .include_related_objects
        .then(|| related(&data.catalog, &[&object.json]));
    Ok(Body::new()
        .row("object", &object.json)
        .rows("related_objects", related.unwrap_or_default())
        .into_response())
}

/// Objects that these refer to: an item's categories, taxes and modifier lists, a
/// variation's item.
fn related<'a>(catalog: &'a Catalog, rows: &[&Bytes]) -> Vec<&'a Bytes> {
    let mut ids = BTreeSet::new();
    for row in rows {
        let object: Value = serde_json::from_slice(row).unwrap_or_default();
        let item = &object["item_data"];
        let listed = |list: &Value, key: &str| -> Vec<String> {
            let entries = list.as_array().into_iter().flatten();
            let id = |entry: &Value| {
                let id = if key.is_empty() { entry } else { &entry[key] };
                id.as_str().map(str::to_owned)
            };
            entries.filter_map(id).collect()
        };
        ids.extend(listed(&item["categories"], "id"));
        ids.extend(listed(&item["tax_ids"], ""));
        ids.extend(listed(&item["modifier_list_info"], "modifier_list_id"));
        ids.extend(
            object["item_variation_data"]["item_id"]
                .as_str()
                .map(str::to_owned),
        );
    }
    ids.iter()
        .filter_map(|id| catalog.find(id))
        .filter(|object| !object.deleted)
        .map(|object| &object.json)
        .collect()
}
