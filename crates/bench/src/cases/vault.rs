//! Credentials read from PostgreSQL and opened, and all of them re-encrypted while reads
//! go on.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use patchbay_core::{
    clock::{Clock, SystemClock},
    connection::{ConnectionStatus, CredentialOrigin, Health},
    entities::{connection, credential},
    ids::{ConnectionId, CredentialId, OrgId},
    secret::{Secret, SecretFields},
    store::Store,
    vault::{Keyring, Vault},
};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};

use crate::{
    Bench,
    measure::{cpu_seconds, cpu_seconds_with_children, ms, percentile, rate},
    peers::number,
    product::{Home, Place},
    servers::{Postgres, bound},
    table::{Budget, Report, figure, ratio},
};

const ORGS: usize = 1_000;
const READERS: usize = 4;
/// Between two reads of a reader: a thousand reads a second, far from what the machine can.
const PAUSE: Duration = Duration::from_millis(4);
const READ_FOR: Duration = Duration::from_secs(8);
const BINARY: &str = "target/release/patchbay";
/// What an OAuth credential is like: two tokens.
const TOKEN: usize = 200;

type Kept = (OrgId, ConnectionId);

pub async fn run(bench: &Bench) -> Result<Report> {
    let credentials = bench.number(100_000, 10_000);
    eprintln!("bench:   building the release binary ...");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "patchbay"])
        .status()?;
    ensure!(
        built.success(),
        "`cargo build --release --package patchbay` failed"
    );
    let postgres = Postgres::start()?;
    let desk = Desk::make(&postgres, credentials).await?;

    let mut report = Report::new(
        "vault",
        format!(
            "{} credentials of {} orgs in PostgreSQL",
            figure(credentials as f64),
            figure(ORGS as f64)
        ),
        &["what", "a second", "seconds", "p50 ms", "p99 ms", "errors"],
    );
    report.method = format!(
        "Open alone: decrypting in memory, one core. Read: the row in force asked for (so that a replaced credential is \
         never used) and opened, one at a time, by \
         the processor seconds of this process and by the clock; beside it the same query alone. Then {READERS} readers \
         at {} reads a second together, before and while `patchbay keys reencrypt` (a process of its own) moves every \
         credential to a new data key.",
        figure(READERS as f64 / PAUSE.as_secs_f64())
    );
    let opened = desk.open_alone().await?;
    row(&mut report, "open alone", &opened);
    let asked = desk.one_by_one(false, &postgres).await?;
    row(&mut report, "the query alone", &asked);
    let read = desk.one_by_one(true, &postgres).await?;
    row(&mut report, "read, one at a time", &read);
    let before = desk.paced(&AtomicBool::new(false), Some(READ_FOR)).await?;
    row(&mut report, "reads before", &before);
    let (during, pass) = desk.while_reencrypted(credentials).await?;
    row(&mut report, "reads during", &during);
    row(&mut report, "re-encryption", &pass);

    report.budget(Budget {
        what: "credential reads a second a core of ours".to_owned(),
        got: Some(number(&read, "a_core")),
        floor: None,
        aim: 10_000.0,
        unit: "",
        at_most: false,
    });
    report.budget(Budget {
        what: format!(
            "reads over the query alone ({})",
            ratio(number(&read, "per_second"), number(&asked, "per_second"))
        ),
        got: Some(number(&read, "per_second") / number(&asked, "per_second")),
        floor: None,
        aim: 0.8,
        unit: "x",
        at_most: false,
    });
    report.budget(Budget {
        what: "read errors during the re-encryption".to_owned(),
        got: Some(number(&during, "errors")),
        floor: Some(0.0),
        aim: 0.0,
        unit: "",
        at_most: true,
    });
    report.budget(Budget {
        what: "p99 of reads during over before".to_owned(),
        got: Some(number(&during, "p99_ms") / number(&before, "p99_ms")),
        floor: None,
        aim: 3.0,
        unit: "x",
        at_most: true,
    });
    Ok(report)
}

fn row(report: &mut Report, who: &str, data: &Value) {
    let cell = |field: &str| {
        let found = data.get(field).and_then(Value::as_f64);
        found.map_or("-".to_owned(), figure)
    };
    let cells = ["per_second", "seconds", "p50_ms", "p99_ms", "errors"].map(cell);
    report.row(who, cells.to_vec(), data.clone());
}

/// The database with its credentials, and the keyring.
struct Desk {
    store: Store,
    vault: Arc<Vault>,
    kept: Arc<Vec<Kept>>,
    url: String,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn make(postgres: &Postgres, credentials: usize) -> Result<Self> {
        let place = Place {
            database: postgres.empty("patchbay").await?,
            redis: None,
        };
        let home = Home::make(place).await?;
        let folder = tempfile::Builder::new()
            .prefix("patchbay-bench-keys-")
            .tempdir()?;
        let text = Keyring::generate();
        let mut desk = Self {
            vault: Arc::new(Vault::new(
                Keyring::parse(&text)?,
                home.store.deployment_id().await?,
            )),
            url: home.place.database.clone(),
            store: home.store.clone(),
            kept: Arc::default(),
            folder,
        };
        write_private(&desk.keyring(), &text)?;
        let mut kept = Vec::with_capacity(credentials);
        for org in home.orgs(ORGS).await? {
            desk.fill(org, credentials / ORGS, &mut kept).await?;
        }
        // In no order: readers meet orgs at random.
        kept.sort_by_key(|(_, connection)| {
            connection.0.as_u128().wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        desk.kept = Arc::new(kept);
        home.analyze().await?;
        Ok(desk)
    }

    fn keyring(&self) -> PathBuf {
        self.folder.path().join("keyring.toml")
    }

    async fn fill(&self, org: OrgId, count: usize, kept: &mut Vec<Kept>) -> Result<()> {
        let tx = self.store.begin().await?;
        let (mut connections, mut credentials) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let connection = ConnectionId::new(&SystemClock);
            let id = CredentialId::new(&SystemClock);
            let sealed = self
                .vault
                .close_credential(&self.store, &tx, org, connection, id, &fields(id))
                .await?;
            connections.push(connection_row(org, connection));
            credentials.push(credential_row(org, connection, id, sealed));
            kept.push((org, connection));
        }
        connection::Entity::insert_many(connections)
            .exec_without_returning(&tx)
            .await?;
        credential::Entity::insert_many(credentials)
            .exec_without_returning(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// One read: the row in force, and with `open` what it says. True: it is the right one.
    async fn read(&self, (org, connection): Kept, open: bool) -> Result<bool> {
        let row = self
            .store
            .current_credential(self.store.db(), org, connection)
            .await?
            .context("one is in force")?;
        if !open {
            return Ok(true);
        }
        let sealed = row.sealed.as_deref().unwrap_or_default();
        let opened = self
            .vault
            .open_credential(&self.store, org, connection, row.id, sealed)
            .await?;
        Ok(opened == fields(row.id))
    }

    async fn open_alone(&self) -> Result<Value> {
        let (org, connection) = self.kept[0];
        let row = self
            .store
            .current_credential(self.store.db(), org, connection)
            .await?
            .context("one is in force")?;
        let sealed = row.sealed.as_deref().unwrap_or_default();
        let (started, mut done) = (Instant::now(), 0);
        while started.elapsed() < READ_FOR / 4 {
            for _ in 0..100 {
                self.vault
                    .open_credential(&self.store, org, connection, row.id, sealed)
                    .await?;
            }
            done += 100;
        }
        Ok(
            json!({ "per_second": rate(done, started.elapsed()), "seconds": started.elapsed().as_secs_f64() }),
        )
    }

    async fn one_by_one(&self, open: bool, postgres: &Postgres) -> Result<Value> {
        let ours = || cpu_seconds(std::process::id());
        let theirs = || cpu_seconds_with_children(postgres.pid());
        let (ours_before, theirs_before, started) = (ours(), theirs(), Instant::now());
        let (mut times, mut errors) = (Vec::new(), 0);
        for kept in self.kept.iter().cycle() {
            let at = Instant::now();
            if !self.read(*kept, open).await.is_ok_and(|right| right) {
                errors += 1;
            }
            times.push(ms(at.elapsed()));
            if started.elapsed() > READ_FOR {
                break;
            }
        }
        let (ours, theirs) = (ours() - ours_before, theirs() - theirs_before);
        Ok(json!({
            "per_second": rate(times.len(), started.elapsed()), "seconds": started.elapsed().as_secs_f64(),
            "p50_ms": percentile(&times, 50.0), "p99_ms": percentile(&times, 99.0), "errors": errors,
            "a_core": times.len() as f64 / ours, "a_core_with_database": times.len() as f64 / (ours + theirs),
            "ours_cpu_s": ours, "database_cpu_s": theirs,
        }))
    }

    /// Readers at a steady pace, for a time or until `stop`.
    async fn paced(&self, stop: &AtomicBool, until: Option<Duration>) -> Result<Value> {
        let started = Instant::now();
        let readers = (0..READERS).map(|reader| async move {
            let (mut times, mut errors) = (Vec::new(), 0_u64);
            let mut tick = tokio::time::interval(PAUSE);
            let from = reader * self.kept.len() / READERS;
            for kept in self.kept.iter().cycle().skip(from) {
                tick.tick().await;
                let at = Instant::now();
                if !self.read(*kept, true).await.is_ok_and(|right| right) {
                    errors += 1;
                }
                times.push(ms(at.elapsed()));
                if stop.load(Ordering::Relaxed) || until.is_some_and(|it| started.elapsed() > it) {
                    break;
                }
            }
            (times, errors)
        });
        let all = join_all(readers).await;
        let took = started.elapsed();
        let times: Vec<f64> = all.iter().flat_map(|(times, _)| times).copied().collect();
        let errors: u64 = all.iter().map(|(_, errors)| errors).sum();
        Ok(json!({
            "per_second": rate(times.len(), took), "seconds": took.as_secs_f64(), "errors": errors,
            "p50_ms": percentile(&times, 50.0), "p99_ms": percentile(&times, 99.0),
            "p99_9_ms": percentile(&times, 99.9), "max_ms": percentile(&times, 100.0),
        }))
    }

    async fn while_reencrypted(&self, credentials: usize) -> Result<(Value, Value)> {
        let stop = AtomicBool::new(false);
        let pass = async {
            let mut command = bound(std::path::absolute(BINARY)?, "KILL");
            command
                .args(["keys", "reencrypt", "--output", "json"])
                .env("PATCHBAY_DATABASE_URL", &self.url)
                .env("PATCHBAY_KEYRING_FILE", self.keyring());
            command.stdout(std::process::Stdio::piped());
            let started = Instant::now();
            let child = command.spawn()?;
            // A thread waits for it; the readers go on. It began in this thread, which stays.
            let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
            let took = started.elapsed();
            stop.store(true, Ordering::Relaxed);
            ensure!(output.status.success(), "the re-encryption failed");
            let said: Value = serde_json::from_slice(&output.stdout)?;
            ensure!(
                said["reencrypted"] == credentials && said["finished"] == true,
                "{said}"
            );
            Ok(json!({
                "per_second": rate(credentials, took), "seconds": took.as_secs_f64(), "said": said,
            }))
        };
        let (during, pass) = tokio::join!(self.paced(&stop, None), pass);
        Ok((during?, pass?))
    }
}

fn write_private(path: &std::path::Path, text: &str) -> Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn fields(id: CredentialId) -> SecretFields {
    let token = |kind: &str| Secret::new(format!("{kind}-{id}-{}", "x".repeat(TOKEN)));
    SecretFields(
        [
            ("access_token".to_owned(), token("a")),
            ("refresh_token".to_owned(), token("r")),
        ]
        .into(),
    )
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
        created_by: Set("bench".into()),
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
        created_by: Set("bench".into()),
        created_at: Set(SystemClock.now()),
        ..Default::default()
    }
}
