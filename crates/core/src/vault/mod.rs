//! The vault: credentials at rest and on their way to the workers.
//!
//! * [`Keyring`]: keys of the deployment, outside the database. Only workers hold it.
//! * [`cipher`]: one blob format, bound to the place it is stored in.
//! * [`sealing`]: what the API encrypts to the deployment's public key (HPKE, RFC 9180).
//! * [`Vault`]: keyring + database: a data key per org, wrapped by the primary key.
//!
//! Nothing here logs, prints or serializes a secret. Decoding is total: any bytes
//! give a value or one error.

pub mod cipher;
pub mod keyring;
pub mod sealing;

use std::{collections::HashMap, sync::Mutex};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    sea_query::OnConflict,
};
use zeroize::Zeroizing;

pub use keyring::{Keyring, KeyringError};
pub use sealing::{SealingPublicKey, sealed_info};

use crate::{
    entities::org_key,
    ids::{ConnectionId, CredentialId, DeploymentId, JobId, OrgId, OrgKeyId},
    job::SealedArgs,
    secret::SecretFields,
    store::{Store, StoreError},
};

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The bytes are not ours, are damaged, or stand in another place than they were made for.
    #[error("a sealed value cannot be opened: it is damaged, or belongs to another place or key")]
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
    keyring: Keyring,
    deployment: DeploymentId,
    /// Opened data keys by the id of their row: a key never changes under its id.
    opened: Mutex<HashMap<OrgKeyId, Zeroizing<[u8; 32]>>>,
}

impl Vault {
    /// A vault over the deployment's keyring.
    #[must_use]
    pub fn new(keyring: Keyring, deployment: DeploymentId) -> Self {
        Self {
            keyring,
            deployment,
            opened: Mutex::new(HashMap::new()),
        }
    }

    /// Opens the newest data key, if there is one yet, so that a keyring of another
    /// installation shows at the start and not in every job.
    ///
    /// # Errors
    /// The database, or a data key that this keyring cannot open.
    pub async fn prove(&self, store: &Store) -> Result<(), VaultError> {
        let newest = org_key::Entity::find().order_by_desc(org_key::Column::Id);
        match newest.one(store.db()).await? {
            Some(row) => self.unwrap(&row).map(drop),
            None => Ok(()),
        }
    }

    /// Closes a credential for its row. Makes the org's data key at its first credential.
    ///
    /// # Errors
    /// The database, or a data key that this keyring cannot open.
    pub async fn close_credential(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
        credential: CredentialId,
        fields: &SecretFields,
    ) -> Result<Vec<u8>, VaultError> {
        let (key_id, key) = self.data_key_or_new(store, tx, org).await?;
        let place = self.credential_place(org, connection, credential);
        Ok(cipher::close(
            &key_id.to_string(),
            &key,
            &place,
            &fields.to_plain(),
        ))
    }

    /// Opens the sealed column of a credential row.
    ///
    /// # Errors
    /// [`VaultError::Unopenable`] for any bytes that were not closed for this very row.
    pub async fn open_credential(
        &self,
        store: &Store,
        org: OrgId,
        connection: ConnectionId,
        credential: CredentialId,
        sealed: &[u8],
    ) -> Result<SecretFields, VaultError> {
        let blob = cipher::Blob::parse(sealed).ok_or(VaultError::Unopenable)?;
        let key_id: OrgKeyId = blob.key_id.parse().map_err(|_| VaultError::Unopenable)?;
        let key = self.data_key(store, org, key_id).await?;
        let plain = blob
            .open(&key, &self.credential_place(org, connection, credential))
            .ok_or(VaultError::Unopenable)?;
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
        let secret = self
            .keyring
            .sealing_secret(&sealed.key_id)
            .ok_or_else(|| VaultError::KeyMissing(sealed.key_id.clone()))?;
        let plain = sealing::open(secret, &sealing::sealed_info(org, job), &sealed.bytes)
            .ok_or(VaultError::Unopenable)?;
        SecretFields::from_plain(&plain).map_err(|_| VaultError::Unopenable)
    }

    fn credential_place(
        &self,
        org: OrgId,
        connection: ConnectionId,
        credential: CredentialId,
    ) -> cipher::Place {
        cipher::Place::new(
            self.deployment,
            org,
            "credentials",
            "sealed",
            &format!("{connection}/{credential}"),
        )
    }

    fn wrap_place(&self, org: OrgId, key: OrgKeyId) -> cipher::Place {
        cipher::Place::new(
            self.deployment,
            org,
            "org_keys",
            "wrapped",
            &key.to_string(),
        )
    }

    async fn data_key_or_new(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        org: OrgId,
    ) -> Result<(OrgKeyId, Zeroizing<[u8; 32]>), VaultError> {
        if org_key::Entity::find()
            .filter(org_key::Column::OrgId.eq(org))
            .one(tx)
            .await?
            .is_none()
        {
            let id = OrgKeyId::new(store.clock());
            let fresh = cipher::random_key();
            let primary = self.keyring.primary();
            let wrapped = cipher::close(
                &primary.id,
                &primary.key,
                &self.wrap_place(org, id),
                &fresh[..],
            );
            // A second worker may make one at the same time: the first row wins for both.
            org_key::Entity::insert(org_key::ActiveModel {
                id: Set(id),
                org_id: Set(org),
                wrapped_by: Set(primary.id.clone()),
                wrapped: Set(wrapped),
                created_at: Set(store.clock().now()),
            })
            .on_conflict(
                OnConflict::column(org_key::Column::OrgId)
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
        }
        let row = org_key::Entity::find()
            .filter(org_key::Column::OrgId.eq(org))
            .one(tx)
            .await?
            .ok_or(VaultError::Unopenable)?;
        let key = self.unwrap(&row)?;
        Ok((row.id, key))
    }

    async fn data_key(
        &self,
        store: &Store,
        org: OrgId,
        id: OrgKeyId,
    ) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        if let Some(key) = self.opened.lock().expect("no holder panics").get(&id) {
            return Ok(key.clone());
        }
        let row = org_key::Entity::find_by_id(id)
            .filter(org_key::Column::OrgId.eq(org))
            .one(store.db())
            .await?
            .ok_or(VaultError::Unopenable)?;
        let key = self.unwrap(&row)?;
        self.opened
            .lock()
            .expect("no holder panics")
            .insert(id, key.clone());
        Ok(key)
    }

    fn unwrap(&self, row: &org_key::Model) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let blob = cipher::Blob::parse(&row.wrapped).ok_or(VaultError::Unopenable)?;
        let wrapping = self
            .keyring
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
}
