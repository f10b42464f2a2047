//! From Drive's shape of a file to the unified one. No calls.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Change;
use crate::{error::ProviderError, provider::PulledRecord, shapes};

/// What is asked for of each file; `raw` of a record is exactly this.
pub(super) const FIELDS: &str = "id,name,mimeType,description,parents,createdTime,modifiedTime,version,size,md5Checksum,trashed,owners(displayName,emailAddress),driveId,webViewLink,shortcutDetails";

const FOLDER: &str = "application/vnd.google-apps.folder";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    id: String,
    name: String,
    mime_type: String,
    description: Option<String>,
    #[serde(default)]
    parents: Vec<String>,
    created_time: Option<DateTime<Utc>>,
    modified_time: Option<DateTime<Utc>>,
    /// 64-bit numbers are texts in Google's JSON.
    version: Option<String>,
    size: Option<String>,
    md5_checksum: Option<String>,
    #[serde(default)]
    trashed: bool,
    #[serde(default)]
    owners: Vec<Owner>,
    drive_id: Option<String>,
    web_view_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    display_name: Option<String>,
    email_address: Option<String>,
}

/// A file as a record; in the trash it counts as deleted.
pub(super) fn record(raw: Value) -> Result<PulledRecord, ProviderError> {
    let file = File::deserialize(&raw).map_err(|error| {
        let id = raw.get("id").and_then(Value::as_str).unwrap_or_default();
        ProviderError::protocol(format!(
            "Google's file {id} has not the shape its API describes: {error}."
        ))
    })?;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let data = shapes::File {
        name: file.name,
        folder: file.mime_type == FOLDER,
        mime_type: file.mime_type,
        description: file.description,
        size: number(&file.size),
        md5: file.md5_checksum,
        parent_ids: file.parents,
        drive_id: file.drive_id,
        owners: file
            .owners
            .into_iter()
            .filter_map(|owner| owner.email_address.or(owner.display_name))
            .collect(),
        link: file.web_view_link,
        created_at: file.created_time,
        updated_at: file.modified_time,
    };
    let version = number(&file.version).or(file.modified_time.map(|at| at.timestamp_millis()));
    Ok(PulledRecord {
        external_id: file.id,
        kind: if data.folder { "folder" } else { "file" }.into(),
        data: serde_json::to_value(&data).expect("unified shapes are plain values"),
        raw,
        source_version: version,
        deleted: file.trashed,
    })
}

/// A change as a record; `None` where it is not about a file. A file without a body was
/// deleted for good, or is no longer shared with the account.
pub(super) fn change(change: Change) -> Result<Option<PulledRecord>, ProviderError> {
    match (change.file, change.file_id) {
        (Some(file), _) => record(file).map(Some),
        (None, Some(id)) => Ok(Some(PulledRecord {
            data: json!({}),
            raw: json!({ "id": id }),
            external_id: id,
            kind: "file".into(),
            source_version: None,
            deleted: true,
        })),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_what_drive_says_of_it() {
        let raw = json!({
            "id": "f1", "name": "Ragù", "mimeType": "application/vnd.google-apps.document",
            "parents": ["p"], "createdTime": "2026-01-02T03:04:05.000Z",
            "modifiedTime": "2026-02-02T03:04:05.678Z", "version": "9007199254740993",
            "trashed": false, "owners": [{"displayName": "Chef", "emailAddress": "c@x.example"}],
            "webViewLink": "https://docs.google.com/document/d/f1/edit",
        });
        let record = record(raw.clone()).expect("a file");
        assert_eq!(record.source_version, Some(9_007_199_254_740_993));
        assert_eq!((record.kind.as_str(), record.deleted), ("file", false));
        assert_eq!(record.raw, raw);
        assert_eq!(record.data["owners"], json!(["c@x.example"]));
        assert_eq!(record.data["folder"], false);
        assert_eq!(record.data.get("size"), None);
    }

    #[test]
    fn trash_and_removal_count_as_deleted() {
        let trashed =
            json!({"id": "f", "name": "n", "mimeType": FOLDER, "trashed": true, "size": "3"});
        let record = record(trashed).expect("a file");
        assert!(record.deleted && record.kind == "folder");
        assert_eq!(record.data["size"], 3);
        let removed = Change {
            file_id: Some("gone".into()),
            file: None,
        };
        let record = change(removed).expect("a change").expect("of a file");
        assert!(record.deleted && record.external_id == "gone");
        let of_a_drive = Change {
            file_id: None,
            file: None,
        };
        assert_eq!(change(of_a_drive), Ok(None));
    }
}
