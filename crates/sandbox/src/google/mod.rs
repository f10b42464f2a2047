//! The Google stand-in: consent and tokens, and of Drive v3 what a reader uses.
//!
//! Stricter than the real one: an unknown query parameter is refused (Drive ignores some),
//! and terms of the search language that are not evaluated here are refused, never
//! ignored. `drive.file` is no scope here: nothing was made by the app. Sources: the
//! public Drive v3 discovery document and the Drive API guide.

mod about;
mod changes;
pub mod data;
mod drives;
mod errors;
mod fields;
mod files;
mod gate;
mod input;
pub mod oauth;
mod search;
mod sorting;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::clock::Clock;
use crate::oauth::{Account, OAuth};
use data::{Drive, DriveChange, DriveChangeKind, DriveSizes, DriveSummary, NewFile};
use errors::GoogleError;
pub(crate) use errors::refuse;

/// The person whose Drive is taken unless another is named.
pub const DEFAULT_ACCOUNT: &str = "chef@harvest-bistro.example";
/// Another person, with a small Drive.
pub const OTHER_ACCOUNT: &str = "office@harvest-bistro.example";

/// The accounts' Drives and their grants. Clones share them.
#[derive(Debug, Clone)]
pub struct Google {
    clock: Clock,
    drives: Arc<BTreeMap<String, Arc<RwLock<Drive>>>>,
    pub oauth: OAuth,
}

impl Google {
    /// Two people; the first has so many files, the second some.
    #[must_use]
    pub fn new(seed: u64, sizes: &DriveSizes, clock: Clock) -> Self {
        let small = DriveSizes {
            documents: 8,
            others: 6,
            shared: 0,
            as_of: sizes.as_of,
        };
        let people = [
            (DEFAULT_ACCOUNT, "Chef", sizes),
            (OTHER_ACCOUNT, "Office", &small),
        ];
        let accounts = people.map(|(email, name, _)| Account::new(email, name));
        let drives = people.map(|(email, name, sizes)| {
            let drive = Drive::seeded(name, email, seed, sizes);
            (email.to_owned(), Arc::new(RwLock::new(drive)))
        });
        Self {
            oauth: oauth::oauth(accounts.to_vec(), clock.clone()),
            clock,
            drives: Arc::new(BTreeMap::from(drives)),
        }
    }

    /// Figures of every Drive.
    #[must_use]
    pub fn summaries(&self) -> BTreeMap<String, DriveSummary> {
        let summary =
            |(email, drive): (&String, &Arc<RwLock<Drive>>)| (email.clone(), read(drive).summary());
        self.drives.iter().map(summary).collect()
    }

    /// Makes `count` changes of mixed kinds; `None`: no such account.
    #[must_use]
    pub fn advance(&self, account: &str, count: u32) -> Option<Vec<DriveChange>> {
        let now_ms = self.clock.now_ms();
        self.write(account, |drive| drive.advance(count, now_ms))
    }

    /// Makes one change; `None`: no such account, or nothing such to change.
    #[must_use]
    pub fn change(
        &self,
        account: &str,
        kind: DriveChangeKind,
        id: Option<&str>,
    ) -> Option<DriveChange> {
        let now_ms = self.clock.now_ms();
        self.write(account, |drive| drive.change(kind, id, now_ms))?
    }

    /// Adds a file; `None`: no such account.
    #[must_use]
    pub fn put(&self, account: &str, file: NewFile) -> Option<DriveChange> {
        let now_ms = self.clock.now_ms();
        self.write(account, |drive| drive.put(file, now_ms))
    }

    /// Makes `count` changes in every Drive.
    pub fn advance_all(&self, count: u32) {
        let now_ms = self.clock.now_ms();
        for drive in self.drives.values() {
            drive
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .advance(count, now_ms);
        }
    }

    fn write<T>(&self, account: &str, change: impl FnOnce(&mut Drive) -> T) -> Option<T> {
        let drive = self.drives.get(account)?;
        Some(change(
            &mut drive.write().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

/// A panicking handler leaves whole files behind, so its lock can be used on.
fn read(drive: &RwLock<Drive>) -> RwLockReadGuard<'_, Drive> {
    drive.read().unwrap_or_else(PoisonError::into_inner)
}

/// Consent, tokens, Drive.
pub(crate) fn router(google: Google) -> Router {
    let gated = Router::new()
        .route("/drive/v3/about", get(about::get))
        .route("/drive/v3/files", get(files::list))
        .route("/drive/v3/files/{id}", get(files::get))
        .route("/drive/v3/files/{id}/export", get(files::export))
        .route(
            "/drive/v3/changes/startPageToken",
            get(changes::start_page_token),
        )
        .route("/drive/v3/changes", get(changes::list))
        .route("/drive/v3/drives", get(drives::list))
        .fallback(async || GoogleError::new(StatusCode::NOT_FOUND, "notFound", "Not Found"))
        .layer(from_fn_with_state(google.clone(), gate::check))
        .with_state(google.clone());
    Router::new()
        .route("/revoke", post(oauth::revoke))
        .with_state(google.oauth.clone())
        .merge(google.oauth.router())
        .merge(gated)
}
