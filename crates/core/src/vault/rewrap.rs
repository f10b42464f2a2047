//! Wraps every data key anew with the primary key of the keyring. What still has another
//! wrapping is what is left to do, so a pass that dies needs no memory to go on.

use super::{
    Vault, VaultError,
    columns::{Cell, ORG_KEY},
    reencrypt::{Progress, Trouble},
};
use crate::{
    entities::org_key,
    ids::OrgKeyId,
    store::{Store, StoreError, keys::Swap},
};
use uuid::Uuid;

const BATCH: u64 = 500;
/// Data keys that are made meanwhile under another primary key are met in the next round.
const ROUNDS: usize = 3;

/// What a pass came to.
#[derive(Debug, Default)]
pub struct Rewrapped {
    /// Data keys wrapped anew.
    pub done: u64,
    /// Data keys that other keys still wrap.
    pub left: u64,
    /// Those that do not open, the first few by name.
    pub trouble: Trouble,
}

impl Vault {
    /// Wraps every data key with the primary key; by compare-and-set, in batches.
    ///
    /// # Errors
    /// The database. A data key that does not open is no error of the pass: it is named in
    /// the answer.
    pub async fn rewrap(
        &self,
        store: &Store,
        show: &(dyn Fn(Progress) + Sync),
    ) -> Result<Rewrapped, VaultError> {
        let keyring = self.keyring();
        let primary = keyring.primary_id();
        let total = store.data_keys().await?.all();
        let mut pass = Rewrapped {
            left: left(store, primary).await?,
            ..Rewrapped::default()
        };
        let before = total.saturating_sub(pass.left);
        for _ in 0..ROUNDS {
            let mut after = OrgKeyId(Uuid::nil());
            pass.trouble = Trouble::default();
            loop {
                let rows = store.keys_to_rewrap(primary, after, BATCH).await?;
                let Some(last) = rows.last() else { break };
                after = last.id;
                pass.done += self.rewrap_batch(store, &rows, &mut pass.trouble).await?;
                show(Progress {
                    done: before + pass.done,
                    total,
                });
            }
            pass.left = left(store, primary).await?;
            if pass.left <= pass.trouble.count {
                break;
            }
        }
        Ok(pass)
    }

    async fn rewrap_batch(
        &self,
        store: &Store,
        rows: &[org_key::Model],
        trouble: &mut Trouble,
    ) -> Result<u64, VaultError> {
        let keyring = self.keyring();
        let mut swaps = Vec::with_capacity(rows.len());
        for row in rows {
            match self.unwrap_with(&keyring, row) {
                Ok(key) => swaps.push(Swap {
                    id: row.id.0,
                    old: row.wrapped.clone(),
                    new: self.wrap(&keyring, row.org_id, row.id, &key),
                }),
                Err(VaultError::Store(error)) => return Err(error.into()),
                Err(error @ (VaultError::Unopenable | VaultError::KeyMissing(_))) => {
                    trouble.note(&Cell::new(&ORG_KEY, &[row.id.0]), &error);
                }
            }
        }
        let ids: Vec<OrgKeyId> = swaps.iter().map(|swap| OrgKeyId(swap.id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let tx = store.begin().await?;
        let done = store.swap(&tx, &ORG_KEY, &swaps).await?;
        store
            .name_wrapping_key(&tx, &ids, keyring.primary_id())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(done)
    }
}

async fn left(store: &Store, primary: &str) -> Result<u64, VaultError> {
    let all = store.data_keys().await?.all();
    let done = store.rows_closed_by(&ORG_KEY, primary).await?;
    Ok(all.saturating_sub(done))
}
