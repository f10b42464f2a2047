//! The product's parts as the benchmark uses them: a database with an org, hints, and a
//! worker and a scheduler on a runtime of their own, as a process of the fleet has one.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use patchbay_core::{
    clock::SystemClock,
    hints::{Hints, MemoryHints, RedisHints},
    ids::{JobId, OrgId},
    job::{JobKind, NewJob, Queue},
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        jobs::Due,
    },
    vault::{Keyring, Vault},
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_providers::Registry;
use patchbay_scheduler::SchedulerDeps;
use patchbay_worker::{Context, Metrics, WorkerDeps, own_connection};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Jobs in one transaction, and then in one push of hints.
pub const ENQUEUE_BATCH: usize = 1_000;
/// As `database_connections` comes.
const CONNECTIONS: u32 = 10;

/// Where the product keeps its things.
#[derive(Debug, Clone)]
pub struct Place {
    pub database: String,
    /// Without it hints stay in the process that made them, as in the embedded mode.
    pub redis: Option<String>,
}

/// A database with the product's tables, and the way of its hints.
pub struct Home {
    pub place: Place,
    pub store: Store,
    pub hints: Arc<dyn Hints>,
}

impl Home {
    /// Migrates the empty database.
    pub async fn make(place: Place) -> Result<Self> {
        let store = open_store(&place.database, "patchbay-bench").await?;
        Migrator::up(store.db(), None).await?;
        let hints = open_hints(&store, place.redis.as_deref()).await?;
        Ok(Self {
            place,
            store,
            hints,
        })
    }

    /// So many orgs.
    pub async fn orgs(&self, count: usize) -> Result<Vec<OrgId>> {
        let tx = self.store.begin().await?;
        let mut orgs = Vec::with_capacity(count);
        for number in 0..count {
            orgs.push(
                self.store
                    .create_org(&tx, &format!("Org {number}"), "system")
                    .await?
                    .id,
            );
        }
        tx.commit().await?;
        Ok(orgs)
    }

    /// Enqueues no-op jobs of an org as the API does: rows in a transaction, then hints.
    pub async fn enqueue(
        &self,
        org: OrgId,
        queue: Queue,
        count: usize,
        args: Value,
    ) -> Result<Vec<JobId>> {
        let mut ids = Vec::with_capacity(count);
        for first in (0..count).step_by(ENQUEUE_BATCH) {
            let batch = (first..count.min(first + ENQUEUE_BATCH))
                .map(|_| noop(org, queue, args.clone()))
                .collect();
            ids.extend(enqueue(&self.store, &*self.hints, queue, batch).await?);
        }
        Ok(ids)
    }

    /// What autovacuum does to a table that is minutes old. No checkpoint: it would make
    /// PostgreSQL log whole pages in our rows and not in the peers', which queue after theirs.
    pub async fn analyze(&self) -> Result<()> {
        self.store
            .db()
            .execute_unprepared("vacuum (analyze) jobs")
            .await?;
        Ok(())
    }

    /// Begins to count the time of statements, on a server started with `start_counting`.
    pub async fn count_statements(&self) -> Result<()> {
        let db = self.store.db();
        db.execute_unprepared("create extension if not exists pg_stat_statements")
            .await?;
        db.execute_unprepared("select pg_stat_statements_reset()")
            .await?;
        Ok(())
    }

    /// The statements that took most since then, each a line.
    pub async fn statements(&self) -> Result<Vec<String>> {
        const MOST: &str = "
            select format('%s ms run, %s ms plan, %s calls, %s rows: %s', round(total_exec_time), round(total_plan_time),
                          calls, rows, left(regexp_replace(query, '[[:space:]]+', ' ', 'g'), 120))
            from pg_stat_statements order by total_exec_time + total_plan_time desc limit 8";
        let statement = Statement::from_string(self.store.db().get_database_backend(), MOST);
        let rows = self.store.db().query_all_raw(statement).await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()?)
    }

    /// A number that a query answers.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        let statement =
            Statement::from_string(self.store.db().get_database_backend(), sql.to_owned());
        let row = self
            .store
            .db()
            .query_one_raw(statement)
            .await?
            .context("one row")?;
        Ok(row.try_get_by_index(0)?)
    }
}

/// Rows, commit, hints.
pub async fn enqueue(
    store: &Store,
    hints: &dyn Hints,
    queue: Queue,
    jobs: Vec<NewJob>,
) -> Result<Vec<JobId>> {
    let tx = store.begin().await?;
    let enqueued = store.jobs().enqueue(&tx, jobs).await?;
    tx.commit().await?;
    let due: Vec<Due> = enqueued
        .iter()
        .map(|enqueued| enqueued.job())
        .map(|job| Due {
            job: job.id,
            turn: job.org_id.unwrap_or(OrgId::DEPLOYMENT),
        })
        .collect();
    hints.push(queue, &due).await?;
    Ok(due.iter().map(|due| due.job).collect())
}

/// A job that does nothing.
pub fn noop(org: OrgId, queue: Queue, args: Value) -> NewJob {
    NewJob {
        args,
        ..NewJob::new(Some(org), JobKind::Noop, queue, "bench")
    }
}

/// No arguments: does nothing at once.
pub fn nothing() -> Value {
    json!({})
}

/// Opens the database as a process of the product does.
pub async fn open_store(url: &str, name: &str) -> Result<Store> {
    let options = ConnectOptions {
        max_connections: CONNECTIONS,
        application_name: name.to_owned(),
    };
    Ok(Store::new(
        connect(url, options).await?,
        Arc::new(SystemClock),
    ))
}

async fn open_hints(store: &Store, redis: Option<&str>) -> Result<Arc<dyn Hints>> {
    let Some(redis) = redis else {
        return Ok(Arc::new(MemoryHints::new()));
    };
    let hints = RedisHints::open(redis, store.deployment_id().await?).await?;
    hints.ping().await?;
    Ok(Arc::new(hints))
}

/// The providers, Etsy at a stand-in.
pub fn etsy_at(url: &str) -> Result<Registry> {
    Ok(Registry::builtin().with_base_url("etsy", url.parse()?)?)
}

/// A worker process's parts.
pub struct WorkerParts {
    pub deps: WorkerDeps,
    pub metrics: Arc<Metrics>,
    store: Store,
    hints: Arc<dyn Hints>,
}

/// Opens all that a worker needs. `keyring` and `square_url` only where it talks to the
/// stand-in.
pub async fn worker_parts(
    place: &Place,
    keyring: Option<&str>,
    square_url: Option<&str>,
) -> Result<WorkerParts> {
    let store = open_store(&place.database, "patchbay-worker").await?;
    let hints = open_hints(&store, place.redis.as_deref()).await?;
    let keyring = match keyring {
        Some(text) => Keyring::parse(text)?,
        None => Keyring::parse(&Keyring::generate())?,
    };
    let mut providers = Registry::builtin();
    if let Some(url) = square_url {
        providers = providers.with_base_url("square", url.parse()?)?;
    }
    let policy = AddressPolicy {
        allow: vec!["127.0.0.0/8".parse()?],
    };
    let context = Context {
        vault: Arc::new(Vault::new(keyring, store.deployment_id().await?)),
        clock: Arc::new(SystemClock),
        providers: Arc::new(providers),
        outbound: Arc::new(Outbound::new(OutboundConfig {
            policy,
            ..OutboundConfig::default()
        })?),
        store: store.clone(),
        hints: Arc::clone(&hints),
        clients: Arc::default(),
        refresher: Arc::default(),
        consents: Arc::default(),
        silence: Arc::default(),
    };
    let connect = own_connection(place.database.clone(), &context);
    let deps = WorkerDeps::new(context, connect, "worker", "bench");
    let metrics = Arc::clone(&deps.metrics);
    Ok(WorkerParts {
        deps,
        metrics,
        store,
        hints,
    })
}

/// A worker, and beside it the scheduler that every deployment has, on their own runtime.
pub struct Crew {
    pub metrics: Arc<Metrics>,
    go: Option<tokio::sync::oneshot::Sender<()>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Crew {
    /// Everything is connected, nothing runs until [`Self::go`].
    pub async fn ready(place: &Place, queue: Queue, slots: usize) -> Result<Self> {
        let (go, gone) = tokio::sync::oneshot::channel();
        let (report, reported) = tokio::sync::oneshot::channel();
        let stop = CancellationToken::new();
        let (place, stopping) = (place.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("bench-crew".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    let parts = worker_parts(&place, None, None).await?;
                    if report.send(Arc::clone(&parts.metrics)).is_err() || gone.await.is_err() {
                        return Ok(());
                    }
                    run_crew(parts, queue, slots, stopping).await
                })
            })?;
        let Ok(metrics) = reported.await else {
            return match thread.join() {
                Ok(Err(error)) => Err(error.context("starting the worker")),
                Ok(Ok(())) | Err(_) => bail!("the worker's thread ended at its start"),
            };
        };
        Ok(Self {
            metrics,
            go: Some(go),
            stop,
            thread: Some(thread),
        })
    }

    /// Starts it; returns when it was told to.
    pub fn go(&mut self) -> Instant {
        let now = Instant::now();
        if let Some(go) = self.go.take() {
            // It cannot have gone: it waits for this.
            go.send(()).ok();
        }
        now
    }

    /// Jobs that have been recorded as succeeded.
    pub fn succeeded(&self) -> u64 {
        self.count("succeeded")
    }

    /// One of the worker's counters.
    pub fn count(&self, name: &str) -> u64 {
        self.metrics
            .numbers()
            .into_iter()
            .find_map(|(known, count)| (known == name).then_some(count))
            .unwrap_or(0)
    }

    /// Waits until so many have succeeded. `false`: not within that time.
    pub async fn wait_for(&self, jobs: usize, within: Duration) -> bool {
        let give_up = Instant::now() + within;
        while self.succeeded() < jobs as u64 {
            if Instant::now() > give_up {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// Stops it gracefully.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        self.go.take();
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        match tokio::task::spawn_blocking(move || thread.join()).await? {
            Ok(ended) => ended,
            Err(_) => bail!("the worker panicked"),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn run_crew(
    parts: WorkerParts,
    queue: Queue,
    slots: usize,
    stop: CancellationToken,
) -> Result<()> {
    let WorkerParts {
        deps, store, hints, ..
    } = parts;
    let scheduler = SchedulerDeps::new(
        store,
        hints,
        Arc::new(SystemClock),
        patchbay_scheduler::Identity::Of(deps.me.subscribe()),
    );
    let duties = tokio::spawn(patchbay_scheduler::run(scheduler, stop.clone()));
    let hurry = CancellationToken::new();
    patchbay_worker::run(deps, vec![(queue, slots)], stop.clone(), hurry).await?;
    stop.cancel();
    duties.await?;
    Ok(())
}
