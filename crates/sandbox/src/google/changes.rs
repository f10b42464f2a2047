//! `changes`: what happened since a page token, and where the log ends.

use axum::Extension;
use axum::Json;
use axum::http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::GoogleError;
use super::fields::{CHANGE_LIST, Mask, START_PAGE_TOKEN};
use super::gate::Caller;
use super::{drives, input, read};
use crate::clock::rfc3339;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    fields: Option<String>,
    drive_id: Option<String>,
    #[serde(default)]
    supports_all_drives: bool,
}

pub(super) async fn start_page_token(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, GoogleError> {
    caller.may_list()?;
    let query: Start = input::query(&uri)?;
    let mask = Mask::of(query.fields.as_deref(), "*", &START_PAGE_TOKEN)?;
    if query.drive_id.is_some() && !query.supports_all_drives {
        return Err(GoogleError::invalid("supportsAllDrives"));
    }
    let drive = read(&caller.drive);
    drives::known(&drive, query.drive_id.as_deref())?;
    let token = drive.start_page_token().to_string();
    Ok(Json(mask.apply(
        json!({ "kind": "drive#startPageToken", "startPageToken": token }),
    )))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    page_token: String,
    page_size: Option<i64>,
    fields: Option<String>,
    /// The feed of a shared drive in place of the account's own.
    drive_id: Option<String>,
    #[serde(default = "yes")]
    include_removed: bool,
    #[serde(default)]
    supports_all_drives: bool,
    #[serde(default)]
    include_items_from_all_drives: bool,
    #[serde(default, rename = "includeCorpusRemovals")]
    _include_corpus_removals: bool,
    #[serde(default)]
    restrict_to_my_drive: bool,
    spaces: Option<String>,
}

fn yes() -> bool {
    true
}

const DEFAULT: &str = "kind,nextPageToken,newStartPageToken,\
    changes(kind,type,changeType,time,removed,fileId,driveId,file(kind,id,name,mimeType))";

pub(super) async fn list(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, GoogleError> {
    caller.may_list()?;
    let query: List = input::query(&uri)?;
    let size = input::page_size(query.page_size)?;
    let mask = Mask::of(query.fields.as_deref(), DEFAULT, &CHANGE_LIST)?;
    if query
        .spaces
        .as_deref()
        .is_some_and(|spaces| spaces != "drive")
    {
        return Err(GoogleError::invalid("spaces"));
    }
    if query.include_items_from_all_drives && !query.supports_all_drives {
        return Err(GoogleError::forbidden(
            "teamDriveDomainMismatch",
            "includeItemsFromAllDrives needs supportsAllDrives=true.",
        ));
    }
    let shows_shared = query.include_items_from_all_drives && !query.restrict_to_my_drive;
    if query.drive_id.is_some() && !query.include_items_from_all_drives {
        return Err(GoogleError::invalid("includeItemsFromAllDrives"));
    }
    let drive = read(&caller.drive);
    drives::known(&drive, query.drive_id.as_deref())?;
    let end = drive.start_page_token();
    let from = query
        .page_token
        .parse::<u64>()
        .ok()
        .filter(|from| (1..=end).contains(from))
        .ok_or_else(|| GoogleError::invalid("pageToken"))?;
    let mut shown = drive.changes_from(from).filter(|(_, change)| {
        let is_in_feed = match &query.drive_id {
            Some(_) => change.drive_id == query.drive_id,
            None => change.drive_id.is_none() || shows_shared,
        };
        is_in_feed && (!change.removed || query.include_removed)
    });
    let page: Vec<_> = shown.by_ref().take(size).collect();
    let next = shown.next().map(|(place, _)| place);
    let changes: Vec<Value> = page
        .into_iter()
        .map(|(_, change)| {
            let mut row = json!({
                "kind": "drive#change",
                "type": "file",
                "changeType": "file",
                "time": rfc3339(change.at_ms),
                "removed": change.removed,
                "fileId": change.file_id,
            });
            if let Some(file) = drive.file(&change.file_id) {
                row["file"] = file.json(&drive.owner);
            }
            if let Some(drive) = &change.drive_id {
                row["driveId"] = drive.as_str().into();
            }
            row
        })
        .collect();
    let mut answer = json!({ "kind": "drive#changeList", "changes": changes });
    match (next, caller.quirks.endless_cursor) {
        (Some(next), _) => answer["nextPageToken"] = next.to_string().into(),
        (None, Some(_)) => answer["nextPageToken"] = from.to_string().into(),
        (None, None) => answer["newStartPageToken"] = end.to_string().into(),
    }
    Ok(Json(mask.apply(answer)))
}
