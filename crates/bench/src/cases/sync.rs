//! A catalog pulled from the stand-in into PostgreSQL and into SQLite.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use patchbay_core::{
    entities::job,
    ids::{ConnectionId, JobId, OrgId},
    job::{JobKind, JobState, NewJob, Queue},
    job_args::ConnectionTestArgs,
    secret::{Secret, SecretFields},
    store::connections::{Inserted, NewConnection},
    vault::Keyring,
};
use patchbay_providers::{PullMode, SyncArgs};
use patchbay_sandbox::square::DEFAULT_TOKEN;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Bench,
    measure::{Memory, cpu_seconds, cpu_seconds_of_threads, cpu_seconds_with_children},
    peers::number,
    product::{Home, Place, enqueue},
    servers::{Fsync, Postgres, Redis, bound, free_port},
    table::{Budget, Report, figure, ratio},
    worker::WorkerProcess,
};

const SLOTS: usize = 4;
const WITHIN: Duration = Duration::from_secs(180);
/// Threads in which sqlx runs SQLite.
const SQLITE_THREADS: &str = "sqlx-sqlite";

pub async fn run(bench: &Bench) -> Result<Report> {
    let items = bench.number(200_000, 20_000);
    let stand_in = StandIn::start(items)?;
    stand_in.ready().await?;
    let mut report = Report::new(
        "sync",
        format!(
            "{} small catalog objects of the Square stand-in into an empty database",
            figure(items as f64)
        ),
        &[
            "into",
            "records",
            "records/s",
            "seconds",
            "over copied",
            "peak MB",
            "ours",
            "database",
            "stand-in",
        ],
    );
    report.method = "One `full` job in a worker process of its own, from the start of its body to its end by the \
                     database's clock. Shares: processor time of the worker, of all of PostgreSQL's processes (of \
                     SQLite: the threads it runs in, with our binding of rows), and of the stand-in's process. They \
                     overlap in time, on all cores. Copied: afterwards one statement of the same database copies the same rows \
                     into an empty table with the same columns, checks and indexes; no wire, no provider, no progress."
        .to_owned();
    let postgres = Postgres::start()?;
    let redis = Redis::start(Fsync::Everysec)?;
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: Some(redis.url()),
    };
    let into_postgres = sync(place, Some(&postgres), &stand_in).await?;
    let folder = tempfile::Builder::new()
        .prefix("patchbay-bench-sqlite-")
        .tempdir()?;
    let place = Place {
        database: format!("sqlite://{}", folder.path().join("patchbay.db").display()),
        redis: None,
    };
    let into_sqlite = sync(place, None, &stand_in).await?;
    for (name, row) in [("PostgreSQL", &into_postgres), ("SQLite", &into_sqlite)] {
        let mut cells = ["records", "per_second", "seconds"]
            .map(|field| figure(number(row, field)))
            .to_vec();
        cells.push(ratio(
            number(row, "per_second"),
            number(row, "copied_per_second"),
        ));
        cells.push(figure(number(row, "peak_mb")));
        let shares = ["ours", "database", "stand_in"].map(|field| {
            format!(
                "{:.0}% ({} s)",
                100.0 * number(row, &format!("{field}_share")),
                figure(number(row, &format!("{field}_cpu_s")))
            )
        });
        cells.extend(shares);
        report.row(name, cells, row.clone());
        let mut cells = ["records", "copied_per_second", "copied_seconds"]
            .map(|field| figure(number(row, field)))
            .to_vec();
        cells.push("1".to_owned());
        report.row(format!("{name}, copied"), cells, json!({}));
    }
    report.budget(Budget {
        what: "records/s into PostgreSQL".to_owned(),
        got: Some(number(&into_postgres, "per_second")),
        floor: Some(15_000.0),
        aim: 50_000.0,
        unit: "",
        at_most: false,
    });
    Ok(report)
}

async fn sync(place: Place, postgres: Option<&Postgres>, stand_in: &StandIn) -> Result<Value> {
    let home = Home::make(place).await?;
    let org = home.orgs(1).await?[0];
    let keys = Keys::make()?;
    let path = keys.path();
    let more = ["--keyring-file", &path, "--square-url", &stand_in.url];
    let worker = WorkerProcess::start(&home.place, SLOTS, &more)?;
    let connection = connect(&home, org, &keys).await?;

    let spent = || {
        let (worker, threads) = (
            cpu_seconds(worker.id()),
            cpu_seconds_of_threads(worker.id(), SQLITE_THREADS),
        );
        let postgres = postgres.map_or(0.0, |postgres| cpu_seconds_with_children(postgres.pid()));
        [
            worker - threads,
            threads + postgres,
            cpu_seconds(stand_in.process.id()),
        ]
    };
    let before = spent();
    let mut sync = NewJob::new(Some(org), JobKind::Sync, Queue::Sync, "bench");
    sync.connection = Some(connection);
    sync.args = serde_json::to_value(SyncArgs {
        stream: "catalog".to_owned(),
        pull: PullMode::Full,
    })?;
    let done = finished(&home, org, sync).await?;
    let after = spent();
    let memory = Memory::of(worker.id()).context("the worker lives")?;

    let (Some(started), Some(ended)) = (done.started_at, done.finished_at) else {
        bail!("a job that ended has times")
    };
    let seconds = (ended - started).as_seconds_f64();
    let records = home.number("select count(*) from records").await?;
    let cpu: Vec<f64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    let all: f64 = cpu.iter().sum();
    drop(worker);
    let copied = copy(&home).await?.as_secs_f64();
    Ok(json!({
        "copied_seconds": copied, "copied_per_second": records as f64 / copied,
        "records": records, "seconds": seconds, "per_second": records as f64 / seconds, "peak_mb": memory.peak_mb,
        "ours_cpu_s": cpu[0], "database_cpu_s": cpu[1], "stand_in_cpu_s": cpu[2],
        "ours_share": cpu[0] / all, "database_share": cpu[1] / all, "stand_in_share": cpu[2] / all,
        "result": done.result,
    }))
}

/// How long the database alone takes to write the records once more, indexes and all.
async fn copy(home: &Home) -> Result<Duration> {
    let db = home.store.db();
    match db.get_database_backend() {
        DbBackend::Postgres => {
            db.execute_unprepared("create table copied (like records including all)")
                .await?;
        }
        DbBackend::Sqlite => {
            let made = "select sql from sqlite_master where tbl_name = 'records' and type in ('table', 'index') and sql is not null
                        order by type desc";
            let made = Statement::from_string(DbBackend::Sqlite, made);
            for row in db.query_all_raw(made).await? {
                let sql: String = row.try_get_by_index(0)?;
                let again = sql
                    .replace("records_", "copied_")
                    // SQLite keeps its first words in capitals.
                    .replace("TABLE records", "TABLE copied")
                    .replace("on records", "on copied");
                db.execute_unprepared(&again).await?;
            }
        }
        other => bail!("no benchmark runs on {other:?}"),
    }
    let began = Instant::now();
    db.execute_unprepared("insert into copied select * from records")
        .await?;
    let took = began.elapsed();
    let copied = home.number("select count(*) from copied").await?;
    let records = home.number("select count(*) from records").await?;
    ensure!(copied == records, "{copied} of {records} were copied");
    Ok(took)
}

/// An org's tested connection to the stand-in.
async fn connect(home: &Home, org: OrgId, keys: &Keys) -> Result<ConnectionId> {
    let tx = home.store.begin().await?;
    let new = NewConnection {
        org,
        provider: "square".to_owned(),
        name: "Till".to_owned(),
        config: json!({}),
        exclusive: true,
        created_by: "bench".to_owned(),
    };
    let Inserted::New(connection) = home.store.insert_connection(&tx, new).await? else {
        bail!("the first connection of its provider is new");
    };
    tx.commit().await?;
    let mut test = NewJob::new(Some(org), JobKind::ConnectionTest, Queue::Sync, "bench");
    let id = JobId::new(home.store.clock());
    test.id = Some(id);
    test.connection = Some(connection.id);
    test.args = serde_json::to_value(ConnectionTestArgs {
        config: json!({}),
        revives: None,
    })?;
    let fields = SecretFields([("access_token".to_owned(), Secret::new(DEFAULT_TOKEN))].into());
    test.sealed = Some(
        Keyring::parse(&keys.text)?
            .sealing_public()
            .seal(org, id, &fields),
    );
    finished(home, org, test)
        .await
        .context("testing the connection")?;
    Ok(connection.id)
}

/// Enqueues a job and waits for its success.
async fn finished(home: &Home, org: OrgId, job: NewJob) -> Result<job::Model> {
    let ids = enqueue(&home.store, &*home.hints, Queue::Sync, vec![job]).await?;
    let give_up = Instant::now() + WITHIN;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let row = job::Entity::find_by_id(ids[0])
            .one(home.store.db())
            .await?
            .context("the job is there")?;
        if row.state == JobState::Succeeded {
            return Ok(row);
        }
        ensure!(
            !row.state.is_end(),
            "the job of org {org} ended {:?}: {:?}",
            row.state,
            row.error
        );
        ensure!(
            Instant::now() < give_up,
            "the job is {:?} after {WITHIN:?}: {:?}",
            row.state,
            row.error
        );
    }
}

/// A keyring in a file of its own.
pub(super) struct Keys {
    folder: TempDir,
    pub(super) text: String,
}

impl Keys {
    pub(super) fn make() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-bench-keys-")
            .tempdir()?;
        let text = Keyring::generate().to_string();
        let keys = Self { folder, text };
        std::fs::write(keys.path(), &keys.text)?;
        Ok(keys)
    }

    pub(super) fn path(&self) -> String {
        self.folder
            .path()
            .join("keyring.toml")
            .display()
            .to_string()
    }
}

/// The stand-in as a process of its own; killed when dropped.
pub(super) struct StandIn {
    process: Child,
    port: u16,
    pub(super) url: String,
}

impl StandIn {
    pub(super) fn start(items: usize) -> Result<Self> {
        let port = free_port()?;
        let mut command = bound(std::env::current_exe()?, "KILL");
        command
            .args([
                "sandbox",
                "--port",
                &port.to_string(),
                "--items",
                &items.to_string(),
            ])
            .args(["--max-variations", "1", "--orders", "0", "--customers", "0"])
            .stdout(std::process::Stdio::null());
        Ok(Self {
            process: command.spawn()?,
            port,
            url: format!("http://127.0.0.1:{port}/square"),
        })
    }

    pub(super) async fn ready(&self) -> Result<()> {
        let give_up = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .is_err()
        {
            ensure!(Instant::now() < give_up, "the stand-in does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // An error says that it has ended already, which is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
