//! Gives every org a new data key, and moves everything that old ones closed over to it:
//!
//! 1. the current key of each org is retired (it only opens from now on) and a new one
//!    takes its place, both in one transaction;
//! 2. every value under a retired key is closed anew under the org's current one, by
//!    compare-and-set on the old bytes, in batches;
//! 3. a retired key that nothing uses any more is deleted.
//!
//! The pass has a row, the keys it made carry its id, and a value that was moved is out of
//! the way: killed at any point, the next run goes on where it stood. Readers never fail:
//! what is closed under a key opens as long as the key is there, and the key goes only
//! when nothing is left under it; a reader that holds bytes from before reads them again
//! ([`Vault::open`]). Writers hold the key they close with until they have committed.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Vault, VaultError, cipher,
    columns::{Cell, ENCRYPTED, EncryptedColumn, Under},
};
use crate::{
    entities::org_key,
    ids::{OrgId, OrgKeyId},
    store::{
        Store, StoreError,
        keys::{Reencryption, SealedRow, Swap},
    },
};

const KEYS: u64 = 500;
const ROWS: u64 = 500;
/// What was written meanwhile under a key that had just been retired is met in the next round.
const ROUNDS: usize = 4;
/// Values that do not open: as many are named.
const NAMED: usize = 5;

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Values done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// Values that a pass could not open.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// How many.
    pub count: u64,
    /// The first few: where they stand and why.
    pub named: Vec<String>,
}

impl Trouble {
    pub(super) fn note(&mut self, cell: &Cell, why: &VaultError) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named
                .push(format!("{} {}: {why}", cell.column.name(), cell.id()));
        }
    }
}

/// What a pass came to.
#[derive(Debug)]
pub struct Reencrypted {
    /// Whether it went on with one that had not finished.
    pub resumed: bool,
    /// Values closed anew, all runs of the pass together.
    pub done: u64,
    /// Old data keys that are still there, because something uses them.
    pub keys_left: u64,
    /// Values that do not open.
    pub trouble: Trouble,
}

struct Pass<'a> {
    vault: &'a Vault,
    store: &'a Store,
    row: Reencryption,
    trouble: Trouble,
    total: u64,
    show: &'a (dyn Fn(Progress) + Sync),
}

impl Vault {
    /// Runs a pass, or goes on with the one that has not finished. It is finished when no
    /// retired key is left.
    ///
    /// # Errors
    /// The database, or a data key that does not open. A value that does not open is no
    /// error of the pass: it is named in the answer, and its key stays.
    pub async fn reencrypt(
        &self,
        store: &Store,
        show: &(dyn Fn(Progress) + Sync),
    ) -> Result<Reencrypted, VaultError> {
        let present = store.open_reencryption().await?;
        let resumed = present.is_some();
        let row = match present {
            Some(row) => row,
            None => {
                store.begin_reencryption().await?;
                store
                    .open_reencryption()
                    .await?
                    .ok_or_else(|| unreadable("the pass that was just begun has ended"))?
            }
        };
        let mut pass = Pass {
            vault: self,
            store,
            row,
            trouble: Trouble::default(),
            total: 0,
            show,
        };
        pass.retire_keys().await?;
        let keys_left = pass.move_values().await?;
        if keys_left == 0 {
            store.finish_reencryption(pass.row.id).await?;
        }
        Ok(Reencrypted {
            resumed,
            done: pass.row.rows_done,
            keys_left,
            trouble: pass.trouble,
        })
    }
}

impl Pass<'_> {
    /// Every org's key that this pass has not made is retired, and a new one made.
    async fn retire_keys(&self) -> Result<(), VaultError> {
        let keyring = self.vault.keyring();
        let mut after = OrgId(Uuid::nil());
        loop {
            let tx = self.store.begin().await?;
            let old = self
                .store
                .keys_to_replace(&tx, self.row.id, after, KEYS)
                .await?;
            let Some(last) = old.last() else {
                return Ok(());
            };
            after = last.org_id;
            let new = old.iter().map(|old| {
                let (row, _) = self.vault.new_key(self.store, &keyring, old.org_id);
                org_key::Model {
                    made_by: Some(self.row.id),
                    ..row
                }
            });
            let new: Vec<org_key::Model> = new.collect();
            let old: Vec<OrgKeyId> = old.iter().map(|row| row.id).collect();
            self.store.replace_keys(&tx, &old, new).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
    }

    /// Moves values until no retired key is left, or only such as stay. How many stay.
    async fn move_values(&mut self) -> Result<u64, VaultError> {
        for round in 0..ROUNDS {
            let Some((first, last)) = self.store.retired_range().await? else {
                break;
            };
            self.trouble = Trouble::default();
            if round == 0 {
                self.total = self.row.rows_done;
                for column in moving() {
                    self.total += self.store.rows_in_range(column, (first, last)).await?;
                }
            }
            let mut moved = 0;
            for column in moving() {
                moved += self.move_column(column, first, last).await?;
            }
            self.delete_unused().await?;
            if moved == 0 && round > 0 {
                break;
            }
        }
        Ok(self.store.data_keys().await?.retired)
    }

    async fn move_column(
        &mut self,
        column: &'static EncryptedColumn,
        first: OrgKeyId,
        last: OrgKeyId,
    ) -> Result<u64, VaultError> {
        let mut after = Store::range_start(first);
        let mut moved = 0;
        loop {
            let rows = self.store.next_in_range(column, &after, last, ROWS).await?;
            let Some(end) = rows.last() else {
                return Ok(moved);
            };
            after = (begin_of(&end.sealed), cell(column, end).id());
            moved += self.move_batch(column, &rows).await?;
            (self.show)(Progress {
                done: self.row.rows_done,
                total: self.total.max(self.row.rows_done),
            });
        }
    }

    async fn move_batch(
        &mut self,
        column: &'static EncryptedColumn,
        rows: &[SealedRow],
    ) -> Result<u64, VaultError> {
        let keys = Keys::of(self.vault, self.store, rows).await?;
        let mut swaps = Vec::with_capacity(rows.len());
        for row in rows {
            let cell = cell(column, row);
            match keys.moved(self.vault, &cell, row) {
                Ok(Some(new)) => swaps.push(Swap {
                    id: cell.id(),
                    old: row.sealed.clone(),
                    new,
                }),
                // Under a key that is current: its id only lies between those of retired ones.
                Ok(None) => {}
                Err(error) => self.trouble.note(&cell, &error),
            }
        }
        if swaps.is_empty() {
            return Ok(0);
        }
        let tx = self.store.begin().await?;
        let done = self.store.swap(&tx, column, &swaps).await?;
        self.store.note_reencrypted(&tx, self.row.id, done).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.row.rows_done += done;
        Ok(done)
    }

    async fn delete_unused(&self) -> Result<(), VaultError> {
        let mut after = OrgKeyId(Uuid::nil());
        loop {
            let retired = self.store.retired_keys(after, KEYS).await?;
            let Some(last) = retired.last() else {
                return Ok(());
            };
            after = last.id;
            let ids: Vec<OrgKeyId> = retired.iter().map(|row| row.id).collect();
            self.store.delete_unused(&ids).await?;
        }
    }
}

/// The data keys that a batch needs.
struct Keys {
    retired: HashMap<OrgKeyId, Zeroizing<[u8; 32]>>,
    current: HashMap<OrgId, (OrgKeyId, Zeroizing<[u8; 32]>)>,
}

impl Keys {
    async fn of(vault: &Vault, store: &Store, rows: &[SealedRow]) -> Result<Self, VaultError> {
        let named: HashSet<OrgKeyId> = rows.iter().filter_map(key_of).collect();
        let named: Vec<OrgKeyId> = named.into_iter().collect();
        let orgs: HashSet<OrgId> = rows.iter().map(|row| row.org).collect();
        let orgs: Vec<OrgId> = orgs.into_iter().collect();
        let mut keys = Self {
            retired: HashMap::new(),
            current: HashMap::new(),
        };
        if !named.is_empty() {
            for row in store.retired_among(&named).await? {
                keys.retired.insert(row.id, vault.unwrap(&row)?);
            }
        }
        for row in store.current_keys(&orgs).await? {
            keys.current
                .insert(row.org_id, (row.id, vault.unwrap(&row)?));
        }
        Ok(keys)
    }

    /// The value under the org's current key; `None` where it is not under a retired one.
    fn moved(
        &self,
        vault: &Vault,
        cell: &Cell,
        row: &SealedRow,
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let blob = cipher::Blob::parse(&row.sealed).ok_or(VaultError::Unopenable)?;
        let Some(old) = key_of(row).and_then(|id| self.retired.get(&id)) else {
            return Ok(None);
        };
        let (id, new) = self.current.get(&row.org).ok_or(VaultError::Unopenable)?;
        let place = vault.place(row.org, cell);
        let plain = blob.open(old, &place).ok_or(VaultError::Unopenable)?;
        Ok(Some(cipher::close(&id.to_string(), new, &place, &plain)))
    }
}

fn moving() -> impl Iterator<Item = &'static EncryptedColumn> {
    ENCRYPTED
        .into_iter()
        .filter(|column| column.under == Under::DataKey)
}

fn cell(column: &'static EncryptedColumn, row: &SealedRow) -> Cell {
    Cell::new(column, &row.row)
}

fn key_of(row: &SealedRow) -> Option<OrgKeyId> {
    cipher::Blob::parse(&row.sealed)?.key_id.parse().ok()
}

/// As many bytes as the index of the column holds.
fn begin_of(sealed: &[u8]) -> Vec<u8> {
    sealed[..sealed.len().min(39)].to_vec()
}

fn unreadable(why: &str) -> VaultError {
    VaultError::Store(StoreError::Unreadable {
        what: "reencryptions",
        why: why.to_owned(),
    })
}
