//! A migrated database, a keyring file, a vault over both, and orgs with credentials.

use std::{path::PathBuf, sync::Arc};

use patchbay_core::{
    clock::ShiftedClock,
    entities::{credential, org_key},
    ids::{ConnectionId, CredentialId, OauthClientId, OrgId, ProcessId},
    secret::{Secret, SecretFields},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        connections::{Inserted, NewConnection},
        credentials::NewCredential,
        oauth_clients::NewOauthClient,
    },
    vault::{
        Keyring, KeyringFile, Vault, VaultError,
        columns::{Cell, OAUTH_CLIENT},
        reencrypt::{Progress, Reencrypted},
    },
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_tests::TestDatabase;
use sea_orm::{ConnectionTrait, EntityTrait, Statement, Value};
use serde_json::json;

/// What keeps the database there until the test ends.
enum Keep {
    Postgres { _database: TestDatabase },
    Sqlite,
}

pub struct Stage {
    pub store: Store,
    pub vault: Vault,
    pub clock: ShiftedClock,
    folder: tempfile::TempDir,
    _keep: Keep,
}

/// A credential in force.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub org: OrgId,
    pub connection: ConnectionId,
    pub id: CredentialId,
}

impl Stage {
    pub async fn postgres() -> Self {
        let database = TestDatabase::fresh().await;
        let url = database.url().to_owned();
        let keep = Keep::Postgres {
            _database: database,
        };
        Self::open(&url, tempfile::tempdir().unwrap(), keep).await
    }

    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/vault.db", folder.path().display());
        let stage = Self::open(&url, folder, Keep::Sqlite).await;
        Migrator::up(stage.store.db(), None).await.unwrap();
        stage
    }

    async fn open(url: &str, folder: tempfile::TempDir, keep: Keep) -> Self {
        let options = ConnectOptions {
            max_connections: 6,
            application_name: "vault-test".into(),
        };
        let db = connect(url, options).await.unwrap();
        if matches!(keep, Keep::Sqlite) {
            Migrator::up(&db, None).await.unwrap();
        }
        let clock = ShiftedClock::default();
        let store = Store::new(db, Arc::new(clock.clone()));
        let path = folder.path().join("keyring.toml");
        std::fs::write(&path, &*Keyring::generate()).unwrap();
        let vault = Vault::new(
            Keyring::read(&path).unwrap(),
            store.deployment_id().await.unwrap(),
        );
        Self {
            store,
            vault,
            clock,
            folder,
            _keep: keep,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("keyring.toml")
    }

    pub fn ring(&self) -> KeyringFile {
        KeyringFile::lock(&self.path()).unwrap()
    }

    /// The vault goes on with the file as it is now.
    pub fn read_again(&self) {
        self.vault
            .take_keyring(Keyring::read(&self.path()).unwrap());
    }

    /// A vault that has nothing in memory.
    pub async fn fresh_vault(&self) -> Vault {
        Vault::new(
            Keyring::read(&self.path()).unwrap(),
            self.store.deployment_id().await.unwrap(),
        )
    }

    pub async fn org(&self, name: &str) -> OrgId {
        let tx = self.store.begin().await.unwrap();
        let org = self.store.create_org(&tx, name, "test").await.unwrap();
        tx.commit().await.unwrap();
        org.id
    }

    pub async fn connection(&self, org: OrgId, name: &str) -> ConnectionId {
        let tx = self.store.begin().await.unwrap();
        let new = NewConnection {
            org,
            provider: "square".into(),
            name: name.into(),
            config: json!({}),
            exclusive: false,
            created_by: "test".into(),
        };
        let Inserted::New(row) = self.store.insert_connection(&tx, new).await.unwrap() else {
            panic!("not exclusive")
        };
        tx.commit().await.unwrap();
        row.id
    }

    /// A new credential in force, which says its own id.
    pub async fn credential(&self, org: OrgId, connection: ConnectionId) -> Kept {
        let id = CredentialId::new(self.store.clock());
        let tx = self.store.begin().await.unwrap();
        let sealed = self
            .vault
            .close_credential(&self.store, &tx, org, connection, id, &fields(id))
            .await
            .unwrap();
        let new = NewCredential {
            id,
            sealed,
            mask: json!({}),
            expires_at: None,
            created_by: "test".into(),
            grant: None,
        };
        self.store
            .replace_credential(&tx, org, connection, new)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Kept {
            org,
            connection,
            id,
        }
    }

    /// An OAuth client of the org's own, with a secret.
    pub async fn client(&self, org: OrgId) {
        let id = OauthClientId::new(self.store.clock());
        let tx = self.store.begin().await.unwrap();
        let cell = Cell::new(&OAUTH_CLIENT, &[id.0]);
        let closed = self.vault.close(&self.store, &tx, org, &cell, b"secret");
        let new = NewOauthClient {
            id,
            org,
            provider: "square".into(),
            client_id: "till".into(),
            secret: Some(closed.await.unwrap()),
            mask: Some("cret".into()),
            created_by: "test".into(),
        };
        self.store.set_oauth_client(&tx, new).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// So many orgs with so many credentials each.
    pub async fn credentials(&self, orgs: usize, each: usize) -> Vec<Kept> {
        let mut all = Vec::new();
        for at in 0..orgs {
            let org = self.org(&format!("org {at}")).await;
            for of in 0..each {
                let connection = self.connection(org, &format!("{at}/{of}")).await;
                all.push(self.credential(org, connection).await);
            }
        }
        all
    }

    pub async fn row(&self, kept: Kept) -> credential::Model {
        let row = credential::Entity::find_by_id(kept.id).one(self.store.db());
        row.await.unwrap().unwrap()
    }

    pub async fn sealed(&self, kept: Kept) -> Vec<u8> {
        self.row(kept).await.sealed.unwrap()
    }

    pub async fn open_as(
        &self,
        vault: &Vault,
        kept: Kept,
        sealed: &[u8],
    ) -> Result<SecretFields, VaultError> {
        vault
            .open_credential(&self.store, kept.org, kept.connection, kept.id, sealed)
            .await
    }

    /// Takes the blob out of its row, so that nobody who asks again finds it there.
    pub async fn take(&self, kept: Kept) -> Vec<u8> {
        let sealed = self.sealed(kept).await;
        let tx = self.store.begin().await.unwrap();
        self.store
            .revoke_credential(&tx, kept.org, kept.connection, "test")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        sealed
    }

    /// That it opens in a process that has nothing in memory, and says what it said.
    pub async fn assert_opens(&self, kept: Kept) {
        let vault = self.fresh_vault().await;
        let sealed = self.sealed(kept).await;
        let opened = self.open_as(&vault, kept, &sealed).await.unwrap();
        assert_eq!(opened, fields(kept.id));
    }

    pub async fn org_keys(&self) -> Vec<org_key::Model> {
        org_key::Entity::find().all(self.store.db()).await.unwrap()
    }

    pub async fn reencrypt(&self) -> Reencrypted {
        let nobody = |_: Progress| {};
        self.vault.reencrypt(&self.store, &nobody).await.unwrap()
    }

    /// A live process of this kind.
    pub async fn process(&self, kind: &str) -> ProcessId {
        let me = ProcessId::new(self.store.clock());
        self.store
            .jobs()
            .register(me, kind, "here:1")
            .await
            .unwrap();
        me
    }

    pub async fn run(&self, sql: &str, values: impl IntoIterator<Item = Value>) {
        let db = self.store.db();
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        assert_eq!(db.execute_raw(statement).await.unwrap().rows_affected(), 1);
    }
}

pub fn fields(id: CredentialId) -> SecretFields {
    SecretFields([("token".to_owned(), Secret::new(id.to_string()))].into())
}
