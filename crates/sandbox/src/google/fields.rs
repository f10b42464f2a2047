//! Partial responses: `fields=nextPageToken,files(id,owners/emailAddress)`.
//!
//! Source: "Return specific fields" of the Drive API guide. A name that the resource does
//! not have is refused, as Drive refuses it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::errors::GoogleError;

/// What of a resource is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mask {
    All,
    Only(BTreeMap<String, Mask>),
}

/// Which fields a resource has.
#[derive(Debug)]
pub(super) enum Shape {
    /// A value, or an object whose insides the stand-in does not check.
    Any,
    Of(&'static [(&'static str, Shape)]),
}

const PERSON: Shape = Shape::Of(&[
    ("kind", Shape::Any),
    ("displayName", Shape::Any),
    ("photoLink", Shape::Any),
    ("me", Shape::Any),
    ("permissionId", Shape::Any),
    ("emailAddress", Shape::Any),
]);

/// Names of Drive v3's `File`.
pub(super) const FILE: Shape = Shape::Of(&[
    ("kind", Shape::Any),
    ("id", Shape::Any),
    ("name", Shape::Any),
    ("mimeType", Shape::Any),
    ("description", Shape::Any),
    ("starred", Shape::Any),
    ("trashed", Shape::Any),
    ("explicitlyTrashed", Shape::Any),
    ("trashingUser", PERSON),
    ("trashedTime", Shape::Any),
    ("parents", Shape::Any),
    ("properties", Shape::Any),
    ("appProperties", Shape::Any),
    ("spaces", Shape::Any),
    ("version", Shape::Any),
    ("webContentLink", Shape::Any),
    ("webViewLink", Shape::Any),
    ("iconLink", Shape::Any),
    ("hasThumbnail", Shape::Any),
    ("thumbnailLink", Shape::Any),
    ("thumbnailVersion", Shape::Any),
    ("viewedByMe", Shape::Any),
    ("viewedByMeTime", Shape::Any),
    ("createdTime", Shape::Any),
    ("modifiedTime", Shape::Any),
    ("modifiedByMeTime", Shape::Any),
    ("modifiedByMe", Shape::Any),
    ("sharedWithMeTime", Shape::Any),
    ("sharingUser", PERSON),
    ("owners", PERSON),
    ("teamDriveId", Shape::Any),
    ("driveId", Shape::Any),
    ("lastModifyingUser", PERSON),
    ("shared", Shape::Any),
    ("ownedByMe", Shape::Any),
    ("capabilities", Shape::Any),
    ("copyRequiresWriterPermission", Shape::Any),
    ("viewersCanCopyContent", Shape::Any),
    ("writersCanShare", Shape::Any),
    ("permissions", Shape::Any),
    ("permissionIds", Shape::Any),
    ("hasAugmentedPermissions", Shape::Any),
    ("folderColorRgb", Shape::Any),
    ("originalFilename", Shape::Any),
    ("fullFileExtension", Shape::Any),
    ("fileExtension", Shape::Any),
    ("md5Checksum", Shape::Any),
    ("sha1Checksum", Shape::Any),
    ("sha256Checksum", Shape::Any),
    ("size", Shape::Any),
    ("quotaBytesUsed", Shape::Any),
    ("headRevisionId", Shape::Any),
    ("contentHints", Shape::Any),
    ("imageMediaMetadata", Shape::Any),
    ("videoMediaMetadata", Shape::Any),
    ("isAppAuthorized", Shape::Any),
    ("exportLinks", Shape::Any),
    ("shortcutDetails", Shape::Any),
    ("contentRestrictions", Shape::Any),
    ("labelInfo", Shape::Any),
    ("resourceKey", Shape::Any),
    ("linkShareMetadata", Shape::Any),
    ("inheritedPermissionsDisabled", Shape::Any),
    ("downloadRestrictions", Shape::Any),
]);

pub(super) const FILE_LIST: Shape = Shape::Of(&[
    ("kind", Shape::Any),
    ("nextPageToken", Shape::Any),
    ("incompleteSearch", Shape::Any),
    ("files", FILE),
]);

pub(super) const DRIVE_LIST: Shape = Shape::Of(&[
    ("kind", Shape::Any),
    ("nextPageToken", Shape::Any),
    (
        "drives",
        Shape::Of(&[
            ("kind", Shape::Any),
            ("id", Shape::Any),
            ("name", Shape::Any),
            ("hidden", Shape::Any),
            ("createdTime", Shape::Any),
        ]),
    ),
]);

pub(super) const CHANGE_LIST: Shape = Shape::Of(&[
    ("kind", Shape::Any),
    ("nextPageToken", Shape::Any),
    ("newStartPageToken", Shape::Any),
    (
        "changes",
        Shape::Of(&[
            ("kind", Shape::Any),
            ("type", Shape::Any),
            ("changeType", Shape::Any),
            ("time", Shape::Any),
            ("removed", Shape::Any),
            ("fileId", Shape::Any),
            ("file", FILE),
            ("teamDriveId", Shape::Any),
            ("driveId", Shape::Any),
            ("drive", Shape::Any),
        ]),
    ),
]);

pub(super) const START_PAGE_TOKEN: Shape =
    Shape::Of(&[("kind", Shape::Any), ("startPageToken", Shape::Any)]);

pub(super) const ABOUT: Shape = Shape::Of(&[
    ("kind", Shape::Any),
    ("user", PERSON),
    (
        "storageQuota",
        Shape::Of(&[
            ("limit", Shape::Any),
            ("usage", Shape::Any),
            ("usageInDrive", Shape::Any),
            ("usageInDriveTrash", Shape::Any),
        ]),
    ),
    ("importFormats", Shape::Any),
    ("exportFormats", Shape::Any),
    ("maxImportSizes", Shape::Any),
    ("maxUploadSize", Shape::Any),
    ("appInstalled", Shape::Any),
    ("folderColorPalette", Shape::Any),
    ("driveThemes", Shape::Any),
    ("canCreateDrives", Shape::Any),
    ("canCreateTeamDrives", Shape::Any),
    ("teamDriveThemes", Shape::Any),
]);

impl Mask {
    /// What the caller asked for, or what the endpoint answers by itself.
    ///
    /// # Errors
    /// 400 for a selection that cannot be read or names no field.
    pub fn of(asked: Option<&str>, default: &str, shape: &Shape) -> Result<Self, GoogleError> {
        let text = asked.unwrap_or(default);
        let refuse = |selection: &str| {
            GoogleError::parameter(
                "fields",
                "invalidParameter",
                format!("Invalid field selection {selection}"),
            )
        };
        let mut rest = text;
        let mask = selection(&mut rest).ok_or_else(|| refuse(text))?;
        if !rest.is_empty() {
            return Err(refuse(text));
        }
        match mask.unknown(shape) {
            Some(name) => Err(refuse(&name)),
            None => Ok(mask),
        }
    }

    fn unknown(&self, shape: &Shape) -> Option<String> {
        let (Self::Only(wanted), Shape::Of(known)) = (self, shape) else {
            return None;
        };
        for (name, inner) in wanted {
            let Some((_, shape)) = known.iter().find(|(known, _)| known == name) else {
                return Some(name.clone());
            };
            if let Some(name) = inner.unknown(shape) {
                return Some(name);
            }
        }
        None
    }

    /// Leaves what is wanted.
    pub fn apply(&self, value: Value) -> Value {
        let Self::Only(wanted) = self else {
            return value;
        };
        match value {
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .filter_map(|(name, value)| {
                        let mask = wanted.get(&name)?;
                        Some((name, mask.apply(value)))
                    })
                    .collect::<Map<_, _>>(),
            ),
            Value::Array(list) => {
                Value::Array(list.into_iter().map(|value| self.apply(value)).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
        }
    }
}

/// `a,b(c,d),e/f,*` up to the end or a closing bracket.
fn selection(rest: &mut &str) -> Option<Mask> {
    let mut fields: BTreeMap<String, Mask> = BTreeMap::new();
    let mut all = false;
    loop {
        match field(rest)? {
            None => all = true,
            Some((name, mask)) => merge(&mut fields, name, mask),
        }
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => break,
        }
    }
    Some(match all {
        true => Mask::All,
        false => Mask::Only(fields),
    })
}

/// One field with what is wanted of it; `*` is `Some(None)`.
#[expect(
    clippy::option_option,
    reason = "outer: can it be read; inner: is it a name or the star"
)]
fn field(rest: &mut &str) -> Option<Option<(String, Mask)>> {
    let text = rest.trim_start();
    if let Some(after) = text.strip_prefix('*') {
        *rest = after;
        return Some(None);
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    let (name, after) = text.split_at(end);
    if let Some(inside) = after.strip_prefix('(') {
        *rest = inside;
        let mask = selection(rest)?;
        *rest = rest.strip_prefix(')')?;
        return Some(Some((name.to_owned(), mask)));
    }
    if let Some(inside) = after.strip_prefix('/') {
        *rest = inside;
        let mask = match field(rest)? {
            None => Mask::All,
            Some((inner, mask)) => Mask::Only(BTreeMap::from([(inner, mask)])),
        };
        return Some(Some((name.to_owned(), mask)));
    }
    *rest = after.trim_start();
    Some(Some((name.to_owned(), Mask::All)))
}

/// `a/b,a/c` wants both.
fn merge(fields: &mut BTreeMap<String, Mask>, name: String, mask: Mask) {
    match (fields.get_mut(&name), mask) {
        (None, mask) => {
            fields.insert(name, mask);
        }
        (Some(Mask::Only(held)), Mask::Only(more)) => {
            for (inner, mask) in more {
                merge(held, inner, mask);
            }
        }
        (Some(held), Mask::All) => *held = Mask::All,
        (Some(Mask::All), Mask::Only(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selection_leaves_what_it_names() {
        let value = json!({"kind": "k", "files": [{"id": "1", "name": "n",
            "owners": [{"emailAddress": "e", "me": true}]}]});
        let of = |text| Mask::of(Some(text), "*", &FILE_LIST).expect("valid");
        assert_eq!(of("*").apply(value.clone()), value);
        assert_eq!(
            of("files(id,owners/emailAddress)").apply(value.clone()),
            json!({"files": [{"id": "1", "owners": [{"emailAddress": "e"}]}]})
        );
        assert_eq!(
            of("files/id,files/name,kind").apply(value),
            json!({"kind": "k", "files": [{"id": "1", "name": "n"}]})
        );
    }

    #[test]
    fn a_selection_of_nothing_known_is_refused() {
        for bad in [
            "",
            "file",
            "files(id",
            "files(id))",
            "files(size,bytes)",
            "a b",
            "files/",
        ] {
            assert!(Mask::of(Some(bad), "*", &FILE_LIST).is_err(), "{bad:?}");
        }
    }
}
