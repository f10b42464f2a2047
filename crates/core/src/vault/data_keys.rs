//! The data keys of orgs: made, wrapped, opened, and kept in memory for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DatabaseTransaction;
use zeroize::Zeroizing;

use super::{
    Vault, VaultError, cipher,
    columns::{Cell, ORG_KEY},
    keyring::Keyring,
};
use crate::{
    entities::org_key,
    ids::{OrgId, OrgKeyId},
    store::Store,
};

/// A data key opened before is used without asking the database for this long: so long
/// may a process read secrets of an org whose keys were deleted
/// (`docs/adr/0006-keys-in-two-layers.md`).
const KEPT_FOR: TimeDelta = TimeDelta::seconds(60);

/// Between two tries of a first data key there was one, and it is gone again.
const TRIES: usize = 4;

type Key = Zeroizing<[u8; 32]>;

/// Opened data keys by the id of their row: a key never changes under its id.
#[derive(Default)]
pub(super) struct Opened(Mutex<HashMap<OrgKeyId, (Key, DateTime<Utc>)>>);

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl Opened {
    pub(super) fn forget(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, HashMap<OrgKeyId, (Key, DateTime<Utc>)>> {
        self.0.lock().expect("no holder panics")
    }

    fn get(&self, id: OrgKeyId, now: DateTime<Utc>) -> Option<Key> {
        let all = self.all();
        let (key, at) = all.get(&id)?;
        // A clock that goes back must not keep a key for longer.
        let age = now - *at;
        (TimeDelta::zero() <= age && age < KEPT_FOR).then(|| key.clone())
    }

    fn keep(&self, id: OrgKeyId, key: Key, now: DateTime<Utc>) {
        let mut all = self.all();
        // Full of keys of long ago: those in use come back at once.
        if all.len() >= all.capacity() {
            all.retain(|_, (_, at)| now - *at < KEPT_FOR);
        }
        all.insert(id, (key, now));
    }
}

impl Vault {
    /// The key that closes for this org; made where there is none.
    pub(super) async fn current_key(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        org: OrgId,
    ) -> Result<(OrgKeyId, Key), VaultError> {
        for _ in 0..TRIES {
            if let Some(row) = store.hold_current_key(tx, org).await? {
                return Ok((row.id, self.unwrap(&row)?));
            }
            // A second worker may make one at the same time: the first row wins for both.
            let (row, _) = self.new_key(store, &self.keyring(), org);
            store.insert_org_key(tx, row).await?;
        }
        Err(VaultError::Unopenable)
    }

    /// A data key by its id; `None`: there is none any more.
    pub(super) async fn data_key(
        &self,
        store: &Store,
        org: OrgId,
        id: OrgKeyId,
    ) -> Result<Option<Key>, VaultError> {
        let now = store.clock().now();
        if let Some(key) = self.opened.get(id, now) {
            return Ok(Some(key));
        }
        let Some(row) = store.org_key(org, id).await? else {
            return Ok(None);
        };
        let key = self.unwrap(&row)?;
        self.opened.keep(id, key.clone(), now);
        Ok(Some(key))
    }

    /// A new random data key and its row, wrapped with the primary key.
    pub(super) fn new_key(
        &self,
        store: &Store,
        keyring: &Keyring,
        org: OrgId,
    ) -> (org_key::Model, Key) {
        let id = OrgKeyId::new(store.clock());
        let key = cipher::random_key();
        let row = org_key::Model {
            id,
            org_id: org,
            wrapped_by: keyring.primary_id().to_owned(),
            wrapped: self.wrap(keyring, org, id, &key),
            created_at: store.clock().now(),
            retired_at: None,
            made_by: None,
        };
        (row, key)
    }

    pub(super) fn wrap(
        &self,
        keyring: &Keyring,
        org: OrgId,
        id: OrgKeyId,
        key: &[u8; 32],
    ) -> Vec<u8> {
        let primary = keyring.primary();
        let place = self.wrap_place(org, id);
        cipher::close(&primary.id, &primary.key, &place, key)
    }

    pub(super) fn unwrap(&self, row: &org_key::Model) -> Result<Key, VaultError> {
        self.unwrap_with(&self.keyring(), row)
    }

    pub(super) fn unwrap_with(
        &self,
        keyring: &Keyring,
        row: &org_key::Model,
    ) -> Result<Key, VaultError> {
        let blob = cipher::Blob::parse(&row.wrapped).ok_or(VaultError::Unopenable)?;
        let wrapping = keyring
            .opening(blob.key_id)
            .ok_or_else(|| VaultError::KeyMissing(blob.key_id.to_owned()))?;
        let plain = blob
            .open(&wrapping.key, &self.wrap_place(row.org_id, row.id))
            .ok_or(VaultError::Unopenable)?;
        let bytes: [u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::Unopenable)?;
        Ok(Zeroizing::new(bytes))
    }

    fn wrap_place(&self, org: OrgId, key: OrgKeyId) -> cipher::Place {
        self.place(org, &Cell::new(&ORG_KEY, &[key.0]))
    }
}
