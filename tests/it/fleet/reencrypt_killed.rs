//! `patchbay keys reencrypt` is killed twenty times while credentials are read and set:
//! no read fails, nothing is lost, and the pass ends.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use patchbay_core::{
    clock::{Clock, SystemClock},
    connection::{ConnectionStatus, CredentialOrigin, Health},
    entities::{connection, credential, org_key},
    ids::{ConnectionId, CredentialId, OrgId},
    secret::{Secret, SecretFields},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        credentials::NewCredential,
    },
    vault::{Keyring, Vault},
};
use patchbay_tests::{Process, TestDatabase, patchbay_binary};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};

const ORGS: usize = 25;
const EACH: usize = 60;
const KILLS: usize = 20;
/// Some runs end before they are killed; those do not count.
const RUNS_AT_MOST: usize = 120;
const READERS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn no_read_fails_while_the_reencryption_is_killed_twenty_times() {
    let place = Place::prepare().await;
    let kept = Arc::new(place.credentials().await);
    let (stop, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for reader in 0..READERS {
        let (store, vault) = (place.store.clone(), place.vault(reader == 0).await);
        let (kept, stop, reads) = (Arc::clone(&kept), Arc::clone(&stop), Arc::clone(&reads));
        tasks.spawn(async move {
            let mut dice = Dice(reader + 1);
            while !stop.load(Ordering::Relaxed) {
                let (org, connection) = kept[dice.below(kept.len())];
                // The first has every key in memory; the others ask for each.
                match &vault {
                    Some(vault) => read(&store, vault, org, connection).await,
                    None => read(&store, &place_vault(&store).await, org, connection).await,
                }
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let (store, vault) = (place.store.clone(), place.vault(true).await.unwrap());
    let (to_write, stops) = (Arc::clone(&kept), Arc::clone(&stop));
    tasks.spawn(async move {
        let mut dice = Dice(99);
        while !stops.load(Ordering::Relaxed) {
            let (org, connection) = to_write[dice.below(to_write.len())];
            replace(&store, &vault, org, connection).await;
        }
    });

    let started = Instant::now();
    let whole = place.reencrypt();
    assert_eq!(whole["finished"], true, "{whole}");
    let takes = started.elapsed();
    let (mut killed, mut runs, mut dice) = (0, 0, Dice(7));
    while killed < KILLS {
        runs += 1;
        assert!(
            runs < RUNS_AT_MOST,
            "{killed} kills in {runs} runs of {takes:?}"
        );
        let mut process = place.start_reencrypting();
        let at = takes.mul_f64(0.25 + 0.75 * dice.unit());
        tokio::time::sleep(at).await;
        killed += usize::from(process.is_running().unwrap());
        process.kill().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        // A read that failed has said which.
        ended.unwrap();
    }
    let last = place.reencrypt();
    assert_eq!(last["finished"], true, "{last}");
    assert_eq!(last["unopenable"], 0, "{last}");

    let fresh = place_vault(&place.store).await;
    for (org, connection) in kept.iter() {
        read(&place.store, &fresh, *org, *connection).await;
    }
    let keys = org_key::Entity::find().all(place.store.db()).await.unwrap();
    assert_eq!(keys.len(), ORGS, "one data key an org");
    assert!(keys.iter().all(|key| key.retired_at.is_none()));
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads > 200, "readers were at work: {reads}");
}

/// The credential in force opens and says its own id.
async fn read(store: &Store, vault: &Vault, org: OrgId, connection: ConnectionId) {
    let row = store.current_credential(store.db(), org, connection).await;
    let row = row.unwrap().expect("one is always in force");
    let sealed = row.sealed.as_deref().expect("in force");
    let opened = vault
        .open_credential(store, org, connection, row.id, sealed)
        .await
        .unwrap_or_else(|error| panic!("a read failed: {error}"));
    assert_eq!(opened, fields(row.id));
}

async fn replace(store: &Store, vault: &Vault, org: OrgId, connection: ConnectionId) {
    let id = CredentialId::new(&SystemClock);
    let tx = store.begin().await.unwrap();
    store.lock_connection(&tx, org, connection).await.unwrap();
    let sealed = vault
        .close_credential(store, &tx, org, connection, id, &fields(id))
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
    store
        .replace_credential(&tx, org, connection, new)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn fields(id: CredentialId) -> SecretFields {
    SecretFields([("token".to_owned(), Secret::new(id.to_string()))].into())
}

/// Where the keyring of this test stands: one test, one process.
static KEYRING: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();

async fn place_vault(store: &Store) -> Vault {
    let keyring = Keyring::read(KEYRING.get().unwrap()).unwrap();
    Vault::new(keyring, store.deployment_id().await.unwrap())
}

struct Place {
    store: Store,
    database: TestDatabase,
    folder: tempfile::TempDir,
}

impl Place {
    async fn prepare() -> Self {
        let database = TestDatabase::fresh().await;
        let options = ConnectOptions {
            max_connections: 6,
            application_name: "test".into(),
        };
        let db = connect(database.url(), options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = Self {
            store: Store::new(db, Arc::new(SystemClock)),
            database,
            folder,
        };
        let path = place.keyring();
        let made = Command::new(patchbay_binary())
            .args(["keys", "init"])
            .arg(&path)
            .env_clear()
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        KEYRING.set(path).unwrap();
        place
    }

    fn keyring(&self) -> PathBuf {
        self.folder.path().join("keyring.toml")
    }

    async fn vault(&self, with_memory: bool) -> Option<Vault> {
        match with_memory {
            true => Some(place_vault(&self.store).await),
            false => None,
        }
    }

    /// Orgs with credentials, in a few large statements.
    async fn credentials(&self) -> Vec<(OrgId, ConnectionId)> {
        let vault = place_vault(&self.store).await;
        let mut all = Vec::new();
        for at in 0..ORGS {
            let tx = self.store.begin().await.unwrap();
            let org = self
                .store
                .create_org(&tx, &format!("org {at}"), "test")
                .await
                .unwrap()
                .id;
            let (mut connections, mut credentials) = (Vec::new(), Vec::new());
            for _ in 0..EACH {
                let connection = ConnectionId::new(&SystemClock);
                let id = CredentialId::new(&SystemClock);
                let sealed = vault
                    .close_credential(&self.store, &tx, org, connection, id, &fields(id))
                    .await
                    .unwrap();
                connections.push(connection_row(org, connection));
                credentials.push(credential_row(org, connection, id, sealed));
                all.push((org, connection));
            }
            let written = connection::Entity::insert_many(connections).exec_without_returning(&tx);
            written.await.unwrap();
            let written = credential::Entity::insert_many(credentials).exec_without_returning(&tx);
            written.await.unwrap();
            tx.commit().await.unwrap();
        }
        all
    }

    /// A whole run.
    fn reencrypt(&self) -> Value {
        let output = Command::new(patchbay_binary())
            .args(["keys", "reencrypt", "--output", "json"])
            .env_clear()
            .env("PATCHBAY_DATABASE_URL", self.database.url())
            .env("PATCHBAY_KEYRING_FILE", self.keyring())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn start_reencrypting(&self) -> Process {
        let keyring = self.keyring();
        let variables = [
            ("PATCHBAY_DATABASE_URL", self.database.url()),
            ("PATCHBAY_KEYRING_FILE", text(&keyring)),
        ];
        Process::patchbay(&["keys", "reencrypt"], &variables).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn connection_row(org: OrgId, id: ConnectionId) -> connection::ActiveModel {
    let now = SystemClock.now();
    connection::ActiveModel {
        id: Set(id),
        org_id: Set(org),
        provider: Set("square".into()),
        name: Set("Till".into()),
        config: Set(json!({})),
        status: Set(ConnectionStatus::Active),
        health: Set(Health::Unknown),
        exclusive: Set(false),
        capabilities_off: Set(json!([])),
        error_count: Set(0),
        version: Set(1),
        created_by: Set("test".into()),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    }
}

fn credential_row(
    org: OrgId,
    connection: ConnectionId,
    id: CredentialId,
    sealed: Vec<u8>,
) -> credential::ActiveModel {
    credential::ActiveModel {
        id: Set(id),
        org_id: Set(org),
        connection_id: Set(connection),
        version: Set(1),
        sealed: Set(Some(sealed)),
        mask: Set(json!({})),
        origin: Set(CredentialOrigin::Secret),
        created_by: Set("test".into()),
        created_at: Set(SystemClock.now()),
        ..Default::default()
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
