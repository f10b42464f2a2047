//! What an account of the stand-in has in Drive: folders, documents, blobs, and the log
//! of changes. Nothing here knows HTTP.

mod changes;
mod content;
mod file;
mod pdf;
mod recipes;
mod seeded;

use std::collections::{BTreeMap, HashMap};

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde::Serialize;

pub use changes::{DriveChange, DriveChangeKind, NewFile};
pub(crate) use content::NotExported;
pub(crate) use file::{DOCUMENT, FOLDER, File};
pub use seeded::DriveSizes;

/// Whose Drive it is.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub name: String,
    pub email: String,
    pub permission_id: String,
}

/// All files of one account.
#[derive(Debug)]
pub struct Drive {
    pub(crate) owner: Person,
    pub(crate) root: String,
    files: BTreeMap<String, File>,
    /// By place: each file at its latest change only, as Drive keeps it.
    log: BTreeMap<u64, Logged>,
    place_of: HashMap<String, u64>,
    next_place: u64,
    /// Milliseconds of the latest change; the next one is later.
    stamp: i64,
    rng: Xoshiro256PlusPlus,
    serial: u64,
}

/// A file changed, or is gone.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub file_id: String,
    pub removed: bool,
    pub at_ms: i64,
    pub drive_id: Option<String>,
}

/// What is in a Drive, in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriveSummary {
    /// Neither folder nor trashed, shared drives left out.
    pub files: usize,
    /// Of those, Google Docs.
    pub documents: usize,
    pub folders: usize,
    pub trashed: usize,
    /// In shared drives.
    pub shared: usize,
    /// Where the log of changes ends.
    pub start_page_token: String,
}

/// The log begins here; Drive's tokens are numbers too, and not small ones.
const FIRST_PLACE: u64 = 7001;

impl Drive {
    fn empty(owner: Person, seed: u64) -> Self {
        let root = file::derive_id("root", &owner.email);
        Self {
            owner,
            root,
            files: BTreeMap::new(),
            log: BTreeMap::new(),
            place_of: HashMap::new(),
            next_place: FIRST_PLACE,
            stamp: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            serial: 0,
        }
    }

    pub(crate) fn file(&self, id: &str) -> Option<&File> {
        let id = if id == "root" { &self.root } else { id };
        self.files.get(id)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The token behind the latest change.
    pub(crate) fn start_page_token(&self) -> u64 {
        self.next_place
    }

    /// Changes from a place on, in their order.
    pub(crate) fn changes_from(&self, place: u64) -> impl Iterator<Item = (u64, &Logged)> {
        self.log.range(place..).map(|(place, row)| (*place, row))
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.files().filter_map(File::size).sum()
    }

    /// Figures to compare a client's result with.
    #[must_use]
    pub fn summary(&self) -> DriveSummary {
        let own = || self.files().filter(|file| file.drive_id.is_none());
        let live = || own().filter(|file| !file.trashed && file.mime_type != FOLDER);
        DriveSummary {
            files: live().count(),
            documents: live().filter(|file| file.mime_type == DOCUMENT).count(),
            folders: own().filter(|file| file.mime_type == FOLDER).count(),
            trashed: own().filter(|file| file.trashed).count(),
            shared: self.files().filter(|file| file.drive_id.is_some()).count(),
            start_page_token: self.next_place.to_string(),
        }
    }
}
