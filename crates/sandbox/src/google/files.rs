//! `files`: list, metadata, bytes, export.

use axum::Extension;
use axum::Json;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::data::{File, NotExported};
use super::errors::GoogleError;
use super::fields::{FILE, FILE_LIST, Mask};
use super::gate::Caller;
use super::search::Search;
use super::sorting::{Binding, Sorting};
use super::{drives, input, read};

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    q: Option<String>,
    page_size: Option<i64>,
    #[serde(skip_serializing)]
    page_token: Option<String>,
    order_by: Option<String>,
    #[serde(skip_serializing)]
    fields: Option<String>,
    corpora: Option<Corpora>,
    drive_id: Option<String>,
    spaces: Option<String>,
    #[serde(default, rename = "supportsAllDrives")]
    supports_all_drives: bool,
    #[serde(default)]
    include_items_from_all_drives: bool,
    alt: Option<OnlyJson>,
    #[serde(rename = "prettyPrint")]
    pretty_print: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Corpora {
    User,
    Drive,
    AllDrives,
}

/// `alt=json`, the only form a list has.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum OnlyJson {
    Json,
}

const LIST_DEFAULT: &str = "kind,nextPageToken,incompleteSearch,files(kind,id,name,mimeType)";

pub(super) async fn list(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, GoogleError> {
    caller.may_list()?;
    let query: List = input::query(&uri)?;
    let search = Search::parse(query.q.as_deref())?;
    let sorting = Sorting::parse(query.order_by.as_deref())?;
    let size = input::page_size(query.page_size)?;
    let mask = Mask::of(query.fields.as_deref(), LIST_DEFAULT, &FILE_LIST)?;
    if query
        .spaces
        .as_deref()
        .is_some_and(|spaces| spaces != "drive")
    {
        return Err(GoogleError::invalid("spaces"));
    }
    let wants_shared = query.include_items_from_all_drives;
    let of_drives = matches!(query.corpora, Some(Corpora::Drive | Corpora::AllDrives));
    if (wants_shared || of_drives) && !query.supports_all_drives {
        return Err(GoogleError::forbidden(
            "teamDriveDomainMismatch",
            "includeItemsFromAllDrives and corpora of drives need supportsAllDrives=true.",
        ));
    }
    if (query.corpora == Some(Corpora::Drive)) != query.drive_id.is_some() {
        return Err(GoogleError::invalid("driveId"));
    }
    if query.drive_id.is_some() && !wants_shared {
        return Err(GoogleError::invalid("includeItemsFromAllDrives"));
    }
    let shows = |file: &File| match query.corpora {
        Some(Corpora::Drive) => file.drive_id == query.drive_id,
        Some(Corpora::AllDrives) => wants_shared || file.drive_id.is_none(),
        // The corpus of the person has no files of shared drives here.
        Some(Corpora::User) | None => file.drive_id.is_none(),
    };
    let binding = Binding::new(&caller.account, &query);
    let after = binding.place(query.page_token.as_deref())?;

    let drive = read(&caller.drive);
    drives::known(&drive, query.drive_id.as_deref())?;
    let found = |file: &&File| shows(file) && search.finds(file, &drive);
    let mut files: Vec<_> = drive
        .files()
        .filter(found)
        .map(|file| (sorting.place(file), file))
        .collect();
    files.sort_by(|(left, _), (right, _)| sorting.compare(left, right));
    let begin = match &after {
        Some(after) => files.partition_point(|(place, _)| sorting.compare(place, after).is_le()),
        None => 0,
    };
    let end = (begin + size).min(files.len());
    let next = match (end < files.len(), caller.quirks.endless_cursor) {
        (true, _) => Some(binding.token(files.get(end - 1).map(|(place, _)| place), 0)),
        (false, Some(nonce)) => Some(binding.token(after.as_ref(), nonce)),
        (false, None) => None,
    };
    let begin = match caller.quirks.repeat_across_pages {
        true => begin.saturating_sub(3),
        false => begin,
    };
    let rows: Vec<Value> = files[begin..end]
        .iter()
        .map(|(_, file)| file.json(&drive.owner))
        .collect();
    let mut answer = json!({
        "kind": "drive#fileList", "incompleteSearch": false, "files": rows,
    });
    if let Some(next) = next {
        answer["nextPageToken"] = next.into();
    }
    Ok(Json(mask.apply(answer)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Get {
    alt: Option<Alt>,
    fields: Option<String>,
    #[serde(default)]
    supports_all_drives: bool,
    #[serde(default, rename = "acknowledgeAbuse")]
    _acknowledge_abuse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Alt {
    Json,
    Media,
}

/// Metadata, or with `alt=media` the bytes.
pub(super) async fn get(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, GoogleError> {
    let query: Get = input::query(&uri)?;
    match query.alt {
        Some(Alt::Media) => caller.may_read()?,
        Some(Alt::Json) | None => caller.may_list()?,
    }
    let drive = read(&caller.drive);
    let file = drive
        .file(&id)
        .filter(|file| file.drive_id.is_none() || query.supports_all_drives)
        .ok_or_else(|| GoogleError::file_not_found(&id))?;
    if query.alt == Some(Alt::Media) {
        if file.is_native() {
            return Err(GoogleError::forbidden(
                "fileNotDownloadable",
                "Only files with binary content can be directly downloaded. Use Export with \
                 Docs Editors files.",
            ));
        }
        let content_type = file.mime_type.clone();
        return Ok(([(CONTENT_TYPE, content_type)], file.content.bytes()).into_response());
    }
    let mask = Mask::of(query.fields.as_deref(), "kind,id,name,mimeType", &FILE)?;
    Ok(Json(mask.apply(file.json(&drive.owner))).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Export {
    mime_type: String,
    #[serde(rename = "alt")]
    _alt: Option<Alt>,
}

/// A document in another format; takes no `supportsAllDrives`.
pub(super) async fn export(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, GoogleError> {
    caller.may_read()?;
    let query: Export = input::query(&uri)?;
    let drive = read(&caller.drive);
    let file = drive
        .file(&id)
        .ok_or_else(|| GoogleError::file_not_found(&id))?;
    let exported = file.content.export(&file.mime_type, &query.mime_type);
    let exported = exported.map_err(|not| match not {
        NotExported::NotNative => GoogleError::forbidden(
            "fileNotExportable",
            "Export only supports Docs Editors files.",
        ),
        NotExported::NoSuchConversion => GoogleError::new(
            StatusCode::BAD_REQUEST,
            "badRequest",
            "The requested conversion is not supported.",
        ),
        NotExported::TooLarge => GoogleError::forbidden(
            "exportSizeLimitExceeded",
            "This file is too large to be exported.",
        ),
    })?;
    Ok(([(CONTENT_TYPE, exported.mime_type)], exported.bytes).into_response())
}
