//! The clock of changes: what people do in a Drive while a client reads.
//!
//! Every change is stamped later than all before it, also when the clock stands still.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::file::{DOCUMENT, FOLDER, File, derive_id};
use super::{Drive, Logged, recipes};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriveChangeKind {
    /// A new Google Doc with a recipe.
    DocumentCreated,
    /// Another text in a Google Doc.
    DocumentUpdated,
    FileRenamed,
    FileTrashed,
    FileUntrashed,
    /// Deleted for good, or no longer shared with the account.
    FileRemoved,
}

/// One change that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriveChange {
    pub kind: DriveChangeKind,
    pub id: String,
    pub at: String,
}

/// A file that a test puts in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFile {
    pub name: String,
    pub mime_type: String,
    /// A folder's id; default: the root.
    pub parent: Option<String>,
    #[serde(default)]
    pub text: String,
    /// In place of a text: so many bytes of filler.
    pub bytes: Option<usize>,
}

impl Drive {
    /// Makes `count` changes of mixed kinds; fewer when there is nothing left to change.
    pub fn advance(&mut self, count: u32, now_ms: i64) -> Vec<DriveChange> {
        (0..count)
            .filter_map(|_| {
                let kind = match self.rng.random_range(0..100) {
                    0..45 => DriveChangeKind::DocumentUpdated,
                    45..70 => DriveChangeKind::DocumentCreated,
                    70..80 => DriveChangeKind::FileRenamed,
                    80..88 => DriveChangeKind::FileTrashed,
                    88..92 => DriveChangeKind::FileUntrashed,
                    _ => DriveChangeKind::FileRemoved,
                };
                self.change(kind, None, now_ms)
            })
            .collect()
    }

    /// Makes one change, of this file or of one that the seed picks.
    ///
    /// `None` when there is no such file, or none of that kind to change.
    pub fn change(
        &mut self,
        kind: DriveChangeKind,
        id: Option<&str>,
        now_ms: i64,
    ) -> Option<DriveChange> {
        let mut rng = self.fork();
        let id = match kind {
            DriveChangeKind::DocumentCreated => {
                let dish = recipes::dish(&mut rng);
                let text = recipes::recipe(&dish, &mut rng);
                return Some(self.put(
                    NewFile {
                        name: dish,
                        mime_type: DOCUMENT.to_owned(),
                        parent: None,
                        text,
                        bytes: None,
                    },
                    now_ms,
                ));
            }
            DriveChangeKind::DocumentUpdated => self.touch(
                id,
                now_ms,
                |file| file.mime_type == DOCUMENT && !file.trashed,
                |file| {
                    let text = recipes::recipe(&file.name, &mut rng);
                    file.content = Content::text(text);
                },
            )?,
            DriveChangeKind::FileRenamed => self.touch(
                id,
                now_ms,
                |file| !file.trashed,
                |file| file.name.push_str(" (new)"),
            )?,
            DriveChangeKind::FileTrashed => self.touch(
                id,
                now_ms,
                |file| !file.trashed && file.mime_type != FOLDER,
                |file| {
                    (file.trashed, file.explicitly_trashed) = (true, true);
                },
            )?,
            DriveChangeKind::FileUntrashed => self.touch(
                id,
                now_ms,
                |file| file.trashed,
                |file| {
                    (file.trashed, file.explicitly_trashed) = (false, false);
                },
            )?,
            DriveChangeKind::FileRemoved => {
                let id = self.touch(id, now_ms, |file| file.mime_type != FOLDER, |_| {})?;
                self.files.remove(&id);
                self.log(&id, true, None);
                id
            }
        };
        Some(self.happened(kind, id))
    }

    /// Adds a file.
    pub fn put(&mut self, new: NewFile, now_ms: i64) -> DriveChange {
        let at = now_ms.max(self.stamp + 1);
        self.stamp = at;
        self.serial += 1;
        let id = derive_id("later", &format!("{}/{}", self.owner.email, self.serial));
        let content = match new.bytes {
            Some(bytes) => Content::filler(bytes),
            None => Content::text(new.text),
        };
        let file = File {
            id: id.clone(),
            name: new.name,
            mime_type: new.mime_type,
            parent: Some(new.parent.unwrap_or_else(|| self.root.clone())),
            created_ms: at,
            modified_ms: at,
            version: 1,
            trashed: false,
            explicitly_trashed: false,
            drive_id: None,
            content,
        };
        self.files.insert(id.clone(), file);
        self.log(&id, false, None);
        self.happened(DriveChangeKind::DocumentCreated, id)
    }

    /// Changes one file and logs it; its id.
    fn touch(
        &mut self,
        id: Option<&str>,
        now_ms: i64,
        fits: impl Fn(&File) -> bool,
        change: impl FnOnce(&mut File),
    ) -> Option<String> {
        let id = self.pick(id, fits)?;
        let at = now_ms.max(self.stamp + 1);
        self.stamp = at;
        let file = self.files.get_mut(&id)?;
        change(file);
        file.modified_ms = at;
        file.version += 1;
        let drive_id = file.drive_id.clone();
        self.log(&id, false, drive_id);
        Some(id)
    }

    fn pick(&mut self, id: Option<&str>, fits: impl Fn(&File) -> bool) -> Option<String> {
        if let Some(id) = id {
            return self
                .file(id)
                .filter(|file| fits(file))
                .map(|file| file.id.clone());
        }
        let own = |file: &&File| file.drive_id.is_none() && fits(file);
        let ids: Vec<&str> = self
            .files
            .values()
            .filter(own)
            .map(|file| file.id.as_str())
            .collect();
        if ids.is_empty() {
            return None;
        }
        let n = self.rng.random_range(0..ids.len());
        Some(ids[n].to_owned())
    }

    /// A file stands in the log once, at its latest change.
    fn log(&mut self, id: &str, removed: bool, drive_id: Option<String>) {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(before) = self.place_of.insert(id.to_owned(), place) {
            self.log.remove(&before);
        }
        let row = Logged {
            file_id: id.to_owned(),
            removed,
            at_ms: self.stamp,
            drive_id,
        };
        self.log.insert(place, row);
    }

    fn happened(&self, kind: DriveChangeKind, id: String) -> DriveChange {
        DriveChange {
            kind,
            id,
            at: crate::clock::rfc3339(self.stamp),
        }
    }

    /// A generator of its own, for calls that borrow the whole Drive.
    pub(super) fn fork(&mut self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.rng.random())
    }
}
