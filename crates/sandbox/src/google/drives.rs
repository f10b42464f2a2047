//! `drives`: the shared drives that the account is a member of.

use std::collections::BTreeSet;

use axum::Extension;
use axum::Json;
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::data::Drive;
use super::errors::GoogleError;
use super::fields::{DRIVE_LIST, Mask};
use super::gate::Caller;
use super::{input, read};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    page_size: Option<i64>,
    /// Here: the last id of the page before.
    page_token: Option<String>,
    fields: Option<String>,
}

const DEFAULT: &str = "kind,nextPageToken,drives(kind,id,name)";

pub(super) async fn list(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, GoogleError> {
    caller.may_list()?;
    let query: List = input::query(&uri)?;
    let mask = Mask::of(query.fields.as_deref(), DEFAULT, &DRIVE_LIST)?;
    let size = match query.page_size.unwrap_or(10) {
        size @ 1..=100 => usize::try_from(size).unwrap_or(100),
        _ => return Err(GoogleError::invalid("pageSize")),
    };
    let drive = read(&caller.drive);
    let ids = ids(&drive);
    if query
        .page_token
        .as_deref()
        .is_some_and(|token| !ids.contains(token))
    {
        return Err(GoogleError::invalid("pageToken"));
    }
    let after = query.page_token.as_deref().unwrap_or_default();
    let mut left = ids.into_iter().filter(|id| *id > after);
    let page: Vec<&str> = left.by_ref().take(size).collect();
    let row = |id: &&str| json!({ "kind": "drive#drive", "id": id, "name": "Group kitchen" });
    let mut answer = json!({
        "kind": "drive#driveList", "drives": page.iter().map(row).collect::<Vec<_>>(),
    });
    if left.next().is_some() {
        answer["nextPageToken"] = page.last().copied().into();
    }
    Ok(Json(mask.apply(answer)))
}

/// # Errors
/// 404 for a shared drive that the account is no member of.
pub(super) fn known(drive: &Drive, id: Option<&str>) -> Result<(), GoogleError> {
    match id {
        Some(id) if !ids(drive).contains(id) => Err(GoogleError::new(
            StatusCode::NOT_FOUND,
            "notFound",
            format!("Shared drive not found: {id}"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Shared drives are known by their files.
fn ids(drive: &Drive) -> BTreeSet<&str> {
    drive
        .files()
        .filter_map(|file| file.drive_id.as_deref())
        .collect()
}
