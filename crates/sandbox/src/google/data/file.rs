//! One file of Drive, and how it is written in JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Person;
use super::content::Content;
use crate::clock::rfc3339;

pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
pub(crate) const DOCUMENT: &str = "application/vnd.google-apps.document";
pub(crate) const SHEET: &str = "application/vnd.google-apps.spreadsheet";

#[derive(Debug, Clone)]
pub(crate) struct File {
    pub id: String,
    pub name: String,
    pub mime_type: String,
    pub parent: Option<String>,
    pub created_ms: i64,
    pub modified_ms: i64,
    pub version: u64,
    pub trashed: bool,
    /// Trashed itself, not with a folder above it.
    pub explicitly_trashed: bool,
    /// The shared drive it lies in.
    pub drive_id: Option<String>,
    pub content: Content,
}

impl File {
    /// Made by Google's editors: has no bytes of its own.
    pub fn is_native(&self) -> bool {
        self.mime_type.starts_with("application/vnd.google-apps.")
    }

    pub fn size(&self) -> Option<usize> {
        (!self.is_native()).then(|| self.content.len())
    }

    /// The whole resource; a mask takes from it.
    pub fn json(&self, owner: &Person) -> Value {
        let person = json!({
            "kind": "drive#user",
            "displayName": owner.name,
            "me": true,
            "permissionId": owner.permission_id,
            "emailAddress": owner.email,
        });
        let mut file = json!({
            "kind": "drive#file",
            "id": self.id,
            "name": self.name,
            "mimeType": self.mime_type,
            "starred": false,
            "trashed": self.trashed,
            "explicitlyTrashed": self.explicitly_trashed,
            "parents": self.parent.iter().collect::<Vec<_>>(),
            "spaces": ["drive"],
            "version": self.version.to_string(),
            "webViewLink": format!("https://drive.google.com/file/d/{}/view?usp=drivesdk", self.id),
            "iconLink": format!("https://drive-thirdparty.googleusercontent.com/16/type/{}", self.mime_type),
            "hasThumbnail": false,
            "thumbnailVersion": "0",
            "viewedByMe": false,
            "createdTime": rfc3339(self.created_ms),
            "modifiedTime": rfc3339(self.modified_ms),
            "modifiedByMe": true,
            "modifiedByMeTime": rfc3339(self.modified_ms),
            "lastModifyingUser": person,
            "shared": self.drive_id.is_some(),
            "capabilities": { "canDownload": self.mime_type != FOLDER, "canEdit": true },
            "copyRequiresWriterPermission": false,
            "viewersCanCopyContent": true,
            "writersCanShare": true,
            "isAppAuthorized": true,
            "quotaBytesUsed": self.size().unwrap_or(0).to_string(),
        });
        match &self.drive_id {
            Some(drive) => {
                file["driveId"] = drive.as_str().into();
                file["teamDriveId"] = drive.as_str().into();
            }
            // What lies in a shared drive has no owner.
            None => {
                file["owners"] = json!([person]);
                file["ownedByMe"] = true.into();
            }
        }
        if let Some(size) = self.size() {
            let digest = self.content.digests();
            file["size"] = size.to_string().into();
            file["md5Checksum"] = digest.md5.into();
            file["sha256Checksum"] = digest.sha256.into();
            file["originalFilename"] = self.name.as_str().into();
            file["headRevisionId"] = format!("{}-{}", &self.id[..8], self.version).into();
            file["webContentLink"] =
                format!("https://drive.google.com/uc?id={}&export=download", self.id).into();
            if let Some((_, extension)) = self.name.rsplit_once('.') {
                file["fileExtension"] = extension.into();
                file["fullFileExtension"] = extension.into();
            }
        }
        file
    }
}

/// An id as Drive makes them: 33 characters, opaque, the same for the same source.
pub(crate) fn derive_id(kind: &str, source: &str) -> String {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(source)
        .finalize();
    let text = URL_SAFE_NO_PAD.encode(digest);
    format!("1{}", &text[..32])
}
