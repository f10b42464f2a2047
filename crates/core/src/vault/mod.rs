//! The vault: credentials at rest and on their way to the workers.
//!
//! * [`Keyring`]: keys of the deployment, outside the database. Only workers hold it.
//! * [`cipher`]: one blob format, bound to the place it is stored in.
//! * [`sealing`]: what the API encrypts to the deployment's public key (HPKE, RFC 9180).
//! * [`columns`]: every encrypted column, in one list.
//! * [`Vault`]: keyring + database: data keys per org, wrapped by the primary key.
//! * [`rewrap`], [`reencrypt`]: the passes of a rotation; [`holders`]: who knows which key.
//!
//! Nothing here logs, prints or serializes a secret. Decoding is total: any bytes
//! give a value or one error.

pub mod cipher;
pub mod columns;
mod data_keys;
pub mod holders;
pub mod keyring;
mod keyring_error;
pub mod keyring_file;
pub mod reencrypt;
pub mod rewrap;
pub mod sealing;

use std::sync::{Arc, RwLock};

use sea_orm::DatabaseTransaction;
use zeroize::Zeroizing;

pub use keyring::Keyring;
pub use keyring_error::KeyringError;
pub use keyring_file::KeyringFile;
pub use sealing::{SealingPublicKey, sealed_info};

use crate::{
    ids::{ConnectionId, CredentialId, DeploymentId, JobId, OrgId, OrgKeyId},
    job::SealedArgs,
    secret::SecretFields,
    store::{Store, StoreError},
};
use columns::{CREDENTIAL, Cell};

/// A value may be moved to a new data key between its reading and its opening; one pass
/// does so once.
const REREADS: usize = 4;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The bytes are not ours, are damaged, or stand in another place than they were made for.
    #[error(
        "a sealed value cannot be opened: it is damaged, belongs to another place or key, or the secrets of its \
         organization were deleted"
    )]
    Unopenable,
    /// The keyring lacks the key.
    #[error("the keyring has no key `{0}` that may open: restore it to the keyring file")]
    KeyMissing(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sea_orm::DbErr> for VaultError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Opens and closes credentials. Only processes that run jobs have one.
#[derive(Debug)]
pub struct Vault {
    /// Replaced as a whole when the keyring file has changed.
    keyring: RwLock<Arc<Keyring>>,
    deployment: DeploymentId,
    opened: data_keys::Opened,
}

impl Vault {
    /// A vault over the deployment's keyring.
    #[must_use]
    pub fn new(keyring: Keyring, deployment: DeploymentId) -> Self {
        Self {
            keyring: RwLock::new(Arc::new(keyring)),
            deployment,
            opened: data_keys::Opened::default(),
        }
    }

    /// The keyring in use.
    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().expect("no holder panics"))
    }

    /// Goes on with another keyring. What it cannot open any more is forgotten at once.
    pub fn take_keyring(&self, keyring: Keyring) {
        *self.keyring.write().expect("no holder panics") = Arc::new(keyring);
        self.opened.forget();
    }

    /// Looks whether a keyring fits the database, so that one of another installation, or
    /// an old copy, shows at the start and not in every job: it has every key in use and
    /// every key that was promoted, and opens the newest data key.
    ///
    /// # Errors
    /// The database, a key that is missing, or a data key that this keyring cannot open.
    pub async fn prove(&self, store: &Store, keyring: &Keyring) -> Result<(), VaultError> {
        let promoted = store.promoted_keys().await?;
        let held = keyring.held();
        for name in [promoted.wrapping, promoted.sealing].into_iter().flatten() {
            let known = held
                .iter()
                .any(|key| key.state.opens() && key.name() == name);
            if !known {
                return Err(VaultError::KeyMissing(name));
            }
        }
        for id in store.wrapping_keys_in_use().await? {
            if keyring.opening(&id).is_none() {
                return Err(VaultError::KeyMissing(id));
            }
        }
        match store.newest_org_key().await? {
            Some(row) => self.unwrap_with(keyring, &row).map(drop),
            None => Ok(()),
        }
    }

    /// Closes a value for its place under the org's current data key; makes the org's
    /// first one. The key is held until the transaction ends.
    ///
    /// # Errors
    /// The database, or a data key that this keyring cannot open.
    pub async fn close(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        org: OrgId,
        cell: &Cell,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let (key_id, key) = self.current_key(store, tx, org).await?;
        let place = self.place(org, cell);
        Ok(cipher::close(&key_id.to_string(), &key, &place, plain))
    }

    /// Opens a value that was read from its place. Where a rotation has moved it to another
    /// data key since, it is read again.
    ///
    /// # Errors
    /// [`VaultError::Unopenable`] for any bytes that were not closed for this very place.
    pub async fn open(
        &self,
        store: &Store,
        org: OrgId,
        cell: &Cell,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let place = self.place(org, cell);
        let mut again: Option<Vec<u8>> = None;
        for _ in 0..REREADS {
            let bytes = again.as_deref().unwrap_or(sealed);
            let blob = cipher::Blob::parse(bytes).ok_or(VaultError::Unopenable)?;
            let key_id: OrgKeyId = blob.key_id.parse().map_err(|_| VaultError::Unopenable)?;
            if let Some(key) = self.data_key(store, org, key_id).await? {
                return blob.open(&key, &place).ok_or(VaultError::Unopenable);
            }
            let now = store.sealed_value(cell).await?;
            match now.filter(|now| now != bytes) {
                Some(moved) => again = Some(moved),
                None => break,
            }
        }
        Err(VaultError::Unopenable)
    }

    /// Closes a credential for its row. Makes the org's data key at its first credential.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub async fn close_credential(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
        credential: CredentialId,
        fields: &SecretFields,
    ) -> Result<Vec<u8>, VaultError> {
        let cell = credential_cell(connection, credential);
        self.close(store, tx, org, &cell, &fields.to_plain()).await
    }

    /// Opens the sealed column of a credential row.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_credential(
        &self,
        store: &Store,
        org: OrgId,
        connection: ConnectionId,
        credential: CredentialId,
        sealed: &[u8],
    ) -> Result<SecretFields, VaultError> {
        let cell = credential_cell(connection, credential);
        let plain = self.open(store, org, &cell, sealed).await?;
        SecretFields::from_plain(&plain).map_err(|_| VaultError::Unopenable)
    }

    /// Opens the sealed arguments of a job.
    ///
    /// # Errors
    /// [`VaultError::KeyMissing`] where the keyring lacks the sealing key,
    /// [`VaultError::Unopenable`] for bytes sealed for another job or org.
    pub fn open_args(
        &self,
        org: OrgId,
        job: JobId,
        sealed: &SealedArgs,
    ) -> Result<SecretFields, VaultError> {
        let keyring = self.keyring();
        let secret = keyring
            .sealing_secret(&sealed.key_id)
            .ok_or_else(|| VaultError::KeyMissing(sealed.key_id.clone()))?;
        let plain = sealing::open(secret, &sealing::sealed_info(org, job), &sealed.bytes)
            .ok_or(VaultError::Unopenable)?;
        SecretFields::from_plain(&plain).map_err(|_| VaultError::Unopenable)
    }

    fn place(&self, org: OrgId, cell: &Cell) -> cipher::Place {
        let column = cell.column;
        cipher::Place::new(
            self.deployment,
            org,
            column.table,
            column.column,
            &cell.row_text(),
        )
    }
}

fn credential_cell(connection: ConnectionId, credential: CredentialId) -> Cell {
    Cell::new(&CREDENTIAL, &[connection.0, credential.0])
}
