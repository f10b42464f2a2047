//! `about`: the account and its quota. `fields` is mandatory here.

use axum::Extension;
use axum::Json;
use axum::http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::GoogleError;
use super::fields::{ABOUT, Mask};
use super::gate::Caller;
use super::{input, read};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    fields: Option<String>,
}

pub(super) async fn get(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, GoogleError> {
    caller.may_list()?;
    let Get { fields } = input::query(&uri)?;
    let fields = fields.ok_or_else(|| {
        GoogleError::parameter(
            "fields",
            "required",
            "The 'fields' parameter is required for this method.",
        )
    })?;
    let mask = Mask::of(Some(&fields), "*", &ABOUT)?;
    let drive = read(&caller.drive);
    let usage = drive.used_bytes().to_string();
    Ok(Json(mask.apply(json!({
        "kind": "drive#about",
        "user": {
            "kind": "drive#user",
            "displayName": drive.owner.name,
            "me": true,
            "permissionId": drive.owner.permission_id,
            "emailAddress": drive.owner.email,
        },
        "storageQuota": {
            "limit": "16106127360", "usage": usage, "usageInDrive": usage,
            "usageInDriveTrash": "0",
        },
        "exportFormats": {
            "application/vnd.google-apps.document":
                ["text/plain", "text/markdown", "text/html", "application/pdf"],
            "application/vnd.google-apps.spreadsheet":
                ["text/csv", "text/tab-separated-values", "application/pdf"],
        },
        "maxUploadSize": "5242880000000",
        "appInstalled": false,
        "canCreateDrives": false,
        "canCreateTeamDrives": false,
    }))))
}
