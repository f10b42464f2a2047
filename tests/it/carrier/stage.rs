//! A database, hints, an org or more, and workers in this process.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    clock::SystemClock,
    entities::job::Model as Job,
    hints::{Hints, MemoryHints, RedisHints},
    ids::{DeploymentId, JobId, OrgId, ProcessId},
    job::{JobKind, JobState, NewJob, Queue},
    outbound::{Outbound, OutboundConfig},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        jobs::Due,
    },
    vault::{Keyring, Vault},
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_providers::Registry;
use patchbay_tests::TestDatabase;
use patchbay_worker::{Context, Metrics, WorkerDeps, own_connection};
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Every wait of a test ends by then; what is waited for takes far less.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub ctx: Context,
    url: String,
    _database: Kept,
}

/// Goes when the test ends.
enum Kept {
    Sqlite { _folder: tempfile::TempDir },
    Postgres { _database: TestDatabase },
}

impl Stage {
    pub async fn on_postgres(hints: Arc<dyn Hints>) -> Self {
        let database = TestDatabase::fresh().await;
        let url = database.url().to_owned();
        Self::at(
            url,
            hints,
            Kept::Postgres {
                _database: database,
            },
        )
        .await
    }

    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self::at(
            url,
            Arc::new(MemoryHints::new()),
            Kept::Sqlite { _folder: folder },
        )
        .await
    }

    async fn at(url: String, hints: Arc<dyn Hints>, database: Kept) -> Self {
        let options = ConnectOptions {
            max_connections: 8,
            application_name: "test".into(),
        };
        let db = connect(&url, options).await.unwrap();
        if matches!(database, Kept::Sqlite { .. }) {
            Migrator::up(&db, None).await.unwrap();
        }
        let clock = Arc::new(SystemClock);
        let store = Store::new(db, clock.clone());
        let deployment = store.deployment_id().await.unwrap();
        let keyring = Keyring::parse(&Keyring::generate()).unwrap();
        let ctx = Context {
            store,
            hints,
            clock,
            vault: Arc::new(Vault::new(keyring, deployment)),
            providers: Arc::new(Registry::builtin()),
            outbound: Arc::new(Outbound::new(OutboundConfig::default()).unwrap()),
            clients: Arc::default(),
            refresher: Arc::default(),
            consents: Arc::default(),
            silence: Arc::default(),
        };
        Self {
            ctx,
            url,
            _database: database,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn org(&self) -> OrgId {
        let tx = self.ctx.store.begin().await.unwrap();
        let org = self
            .ctx
            .store
            .create_org(&tx, "an org", "system")
            .await
            .unwrap()
            .id;
        tx.commit().await.unwrap();
        org
    }

    /// No-op jobs in the queue that interactive work goes to, hinted.
    pub async fn enqueue(&self, org: OrgId, count: usize, args: Value) -> Vec<JobId> {
        let jobs = self.enqueue_unhinted(vec![noop(org, args); count]).await;
        let due: Vec<Due> = jobs
            .iter()
            .map(|job| Due {
                job: *job,
                turn: org,
            })
            .collect();
        // Without Redis the table alone knows; that is what some tests are about.
        self.ctx.hints.push(Queue::Interactive, &due).await.ok();
        jobs
    }

    pub async fn enqueue_unhinted(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        let tx = self.ctx.store.begin().await.unwrap();
        let enqueued = self.ctx.store.jobs().enqueue(&tx, jobs).await.unwrap();
        tx.commit().await.unwrap();
        enqueued.iter().map(|one| one.job().id).collect()
    }

    /// A worker of the interactive queue.
    pub fn worker(&self, slots: usize) -> RunningWorker {
        self.worker_through(&self.url, self.ctx.store.clone(), slots)
    }

    /// The same with another way to the database.
    pub fn worker_through(&self, url: &str, store: Store, slots: usize) -> RunningWorker {
        let ctx = Context {
            store,
            ..self.ctx.clone()
        };
        let connect = own_connection(url.to_owned(), &ctx);
        let mut deps = WorkerDeps::new(ctx, connect, "worker", "test");
        deps.stop_within = Duration::from_secs(3);
        let me = deps.me.subscribe();
        let metrics = Arc::clone(&deps.metrics);
        let shutdown = CancellationToken::new();
        let hurry = CancellationToken::new();
        let run = patchbay_worker::run(
            deps,
            vec![(Queue::Interactive, slots)],
            shutdown.clone(),
            hurry.clone(),
        );
        RunningWorker {
            me,
            metrics,
            shutdown,
            hurry,
            ended: tokio::spawn(run),
        }
    }

    pub async fn job(&self, id: JobId) -> Job {
        use patchbay_core::entities::job::Entity;
        Entity::find_by_id(id)
            .one(self.ctx.store.db())
            .await
            .unwrap()
            .unwrap()
    }

    /// Waits until all these jobs are in this state.
    pub async fn until_all(&self, jobs: &[JobId], state: JobState) {
        let said = format!("{} jobs {state:?}", jobs.len());
        until(&said, async || {
            let pictures = self.ctx.store.job_pictures(jobs).await.unwrap();
            pictures.len() == jobs.len() && pictures.iter().all(|job| job.state == state)
        })
        .await;
    }

    pub async fn count_in(&self, jobs: &[JobId], state: JobState) -> usize {
        let pictures = self.ctx.store.job_pictures(jobs).await.unwrap();
        pictures.iter().filter(|job| job.state == state).count()
    }

    pub async fn sql(&self, sql: &str) {
        let db = self.ctx.store.db();
        db.execute_raw(Statement::from_string(db.get_database_backend(), sql))
            .await
            .unwrap();
    }
}

pub fn noop(org: OrgId, args: Value) -> NewJob {
    let mut job = NewJob::new(Some(org), JobKind::Noop, Queue::Interactive, "system");
    job.args = args;
    job
}

pub fn sleep_ms(ms: u64) -> Value {
    json!({ "sleep_ms": ms })
}

pub struct RunningWorker {
    pub me: watch::Receiver<Option<ProcessId>>,
    pub metrics: Arc<Metrics>,
    pub shutdown: CancellationToken,
    pub hurry: CancellationToken,
    ended: JoinHandle<Result<(), patchbay_worker::WorkerError>>,
}

impl RunningWorker {
    pub fn count(&self, name: &str) -> u64 {
        self.metrics
            .numbers()
            .into_iter()
            .find(|(known, _)| *known == name)
            .unwrap()
            .1
    }

    /// Waits until so many bodies have begun in all.
    pub async fn until_begun(&self, bodies: usize) {
        until("bodies begin", async || {
            self.count("bodies_begun") >= bodies as u64
        })
        .await;
    }

    pub async fn process(&mut self) -> ProcessId {
        let known = self.me.wait_for(Option::is_some);
        let me = tokio::time::timeout(PATIENCE, known)
            .await
            .unwrap()
            .unwrap();
        me.unwrap()
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.ended().await;
    }

    pub async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .expect("the worker stops")
            .unwrap()
            .unwrap();
    }
}

/// Hints of a deployment of its own on this Redis.
pub async fn redis_hints(url: &str) -> RedisHints {
    RedisHints::open(url, DeploymentId::new(&SystemClock))
        .await
        .unwrap()
}

/// Waits until it is so; fails the test when it never is.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("never came true: {what}"));
}
