//! The order of `files.list`, and the page tokens that remember a place in it.
//!
//! A token is a place plus an authentication tag over account and query, so a forged one,
//! or one carried over to another query, is refused as Drive refuses it. The place is a
//! key, not an offset: files that change meanwhile shift nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::cmp::Ordering;

use super::data::{FOLDER, File};
use super::errors::GoogleError;

/// One key of `orderBy`, most important first.
#[derive(Debug, Clone, Copy)]
struct Key {
    field: Field,
    descends: bool,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Created,
    Modified,
    Name,
    /// Folders first.
    Folder,
    Bytes,
}

/// How files are sorted. Equal ones go by id.
#[derive(Debug, Clone)]
pub(super) struct Sorting(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Text(String),
}

/// A file's place in a sorted list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    keys: Vec<Value>,
    id: String,
    /// Makes tokens differ where a fault wants it.
    #[serde(default)]
    nonce: u32,
}

impl Sorting {
    /// # Errors
    /// 400 for a key that Drive does not have or the stand-in does not evaluate.
    pub fn parse(order_by: Option<&str>) -> Result<Self, GoogleError> {
        let Some(text) = order_by else {
            // Drive promises no order; the latest first is what it gives.
            return Ok(Self(vec![Key {
                field: Field::Modified,
                descends: true,
            }]));
        };
        let key = |part: &str| {
            let (name, descends) = match part.trim().split_once(' ') {
                None => (part.trim(), false),
                Some((name, "desc")) => (name, true),
                Some(_) => return None,
            };
            let field = match name {
                "createdTime" => Field::Created,
                "modifiedTime" | "recency" => Field::Modified,
                "name" | "name_natural" => Field::Name,
                "folder" => Field::Folder,
                "quotaBytesUsed" => Field::Bytes,
                _ => return None,
            };
            Some(Key { field, descends })
        };
        let keys: Option<Vec<Key>> = text.split(',').map(key).collect();
        keys.map(Self)
            .ok_or_else(|| GoogleError::invalid("orderBy"))
    }

    pub fn place(&self, file: &File) -> Place {
        let number = |n: usize| Value::Number(i64::try_from(n).unwrap_or(i64::MAX));
        let keys = self.0.iter().map(|key| match key.field {
            Field::Created => Value::Number(file.created_ms),
            Field::Modified => Value::Number(file.modified_ms),
            Field::Name => Value::Text(file.name.to_lowercase()),
            Field::Folder => number(usize::from(file.mime_type != FOLDER)),
            Field::Bytes => number(file.size().unwrap_or(0)),
        });
        Place {
            keys: keys.collect(),
            id: file.id.clone(),
            nonce: 0,
        }
    }

    pub fn compare(&self, left: &Place, right: &Place) -> Ordering {
        let keys = self.0.iter().zip(left.keys.iter().zip(&right.keys));
        for (key, (left, right)) in keys {
            let order = match key.descends {
                true => right.cmp(left),
                false => left.cmp(right),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        left.id.cmp(&right.id)
    }
}

/// What a page token is bound to.
#[derive(Debug)]
pub(super) struct Binding(Vec<u8>);

const TAG: usize = 12;

impl Binding {
    pub fn new(account: &str, query: &impl Serialize) -> Self {
        let query = serde_json::to_string(query).expect("queries have string keys only");
        Self(format!("{account}\n{query}").into_bytes())
    }

    fn tag(&self, place: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(place);
        mac.finalize().into_bytes()[..TAG].to_vec()
    }

    /// A token to the files behind a place; `None`: from the start.
    pub fn token(&self, place: Option<&Place>, nonce: u32) -> String {
        let place = place.cloned().map(|place| Place { nonce, ..place });
        let mut bytes = serde_json::to_vec(&(place, nonce)).expect("a place is plain data");
        let tag = self.tag(&bytes);
        bytes.extend(tag);
        format!("~!!~{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// # Errors
    /// 400 for anything this query did not hand out.
    pub fn place(&self, token: Option<&str>) -> Result<Option<Place>, GoogleError> {
        let Some(token) = token else { return Ok(None) };
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix("~!!~")?).ok()?;
            let (place, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
            let (place, _): (Option<Place>, u32) =
                (self.tag(place) == tag).then(|| serde_json::from_slice(place).ok())??;
            Some(place)
        };
        read().ok_or_else(|| GoogleError::invalid("pageToken"))
    }
}
