//! A place to run job bodies at: a database, a stand-in with data, an org with a
//! Square connection, and the hands that claim and settle.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use patchbay_core::{
    clock::SystemClock,
    connection::ConnectionStatus,
    entities::{connection, job::Model as Job, record},
    hints::memory::MemoryHints,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{JobError, JobKind, JobState, NewJob, Next, Queue, Settle, Settlement},
    job_args::ConnectionTestArgs,
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    secret::{Secret, SecretFields},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        connections::{Inserted, NewConnection},
        records::RecordFilter,
    },
    vault::{Keyring, SealingPublicKey, Vault},
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_providers::{PullMode, Registry, SyncArgs};
use patchbay_sandbox::{
    Dataset, RunningSandbox, Sandbox, SandboxOptions, Sizes,
    square::{Account, DEFAULT_MERCHANT, DEFAULT_TOKEN, data::ChangeKind},
};
use patchbay_tests::TestDatabase;
use patchbay_worker::{Context, JobRun, jobs};
use serde_json::{Value, json};

/// The token that the stand-in takes.
pub const TOKEN: &str = DEFAULT_TOKEN;

/// The token of another merchant.
pub const NEIGHBOURS_TOKEN: &str = "token-of-the-merchant-next-door";

pub struct Desk {
    pub ctx: Context,
    pub sandbox: RunningSandbox,
    pub org: OrgId,
    pub connection: ConnectionId,
    public_key: SealingPublicKey,
    me: ProcessId,
    /// What opens its credentials.
    pub keyring: String,
    database: Kept,
}

/// Goes when the test ends.
enum Kept {
    Sqlite { folder: tempfile::TempDir },
    Postgres { database: TestDatabase },
}

/// What a worker process on this database works with, beside this stand-in.
pub async fn context(store: Store, keyring: &str, square: &str) -> Context {
    let keyring = Keyring::parse(keyring).unwrap();
    let deployment = store.deployment_id().await.unwrap();
    let policy = AddressPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
    };
    let config = OutboundConfig {
        policy,
        ..OutboundConfig::default()
    };
    let base_url = square.parse().unwrap();
    let providers = Registry::builtin().with_base_url("square", base_url);
    Context {
        hints: Arc::new(MemoryHints::new()),
        clock: Arc::new(SystemClock),
        vault: Arc::new(Vault::new(keyring, deployment)),
        providers: Arc::new(providers.unwrap()),
        outbound: Arc::new(Outbound::new(config).unwrap()),
        clients: Arc::default(),
        refresher: Arc::default(),
        consents: Arc::default(),
        silence: Arc::default(),
        store,
    }
}

impl Desk {
    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let options = ConnectOptions {
            max_connections: 4,
            application_name: "test".into(),
        };
        let db = connect(&url, options).await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        Self::at(
            Store::new(db, Arc::new(SystemClock)),
            Kept::Sqlite { folder },
        )
        .await
    }

    pub async fn on_postgres() -> Self {
        let database = TestDatabase::fresh().await;
        let options = ConnectOptions {
            max_connections: 4,
            application_name: "test".into(),
        };
        let db = connect(database.url(), options).await.unwrap();
        Self::at(
            Store::new(db, Arc::new(SystemClock)),
            Kept::Postgres { database },
        )
        .await
    }

    async fn at(store: Store, database: Kept) -> Self {
        let sizes = Sizes {
            items: 350,
            orders: 120,
            customers: 40,
            ..Sizes::default()
        };
        let mut options = SandboxOptions::with(Dataset::seeded(7, &sizes));
        options.square.push(Account {
            merchant_id: "MLNEIGHBOUR".into(),
            token: NEIGHBOURS_TOKEN.into(),
            dataset: Dataset::seeded(8, &sizes),
        });
        let sandbox = Sandbox::start(options).await.unwrap();
        let keyring = Keyring::generate();
        let public_key = Keyring::parse(&keyring).unwrap().sealing_public().clone();
        let ctx = context(store, &keyring, &sandbox.square_url()).await;
        let tx = ctx.store.begin().await.unwrap();
        let org = ctx
            .store
            .create_org(&tx, "Bakery", "system")
            .await
            .unwrap()
            .id;
        let new = NewConnection {
            org,
            provider: "square".into(),
            name: "Till".into(),
            config: json!({}),
            exclusive: true,
            created_by: "system".into(),
        };
        let Inserted::New(row) = ctx.store.insert_connection(&tx, new).await.unwrap() else {
            panic!("the first of its provider")
        };
        tx.commit().await.unwrap();
        let me = ProcessId::new(ctx.store.clock());
        ctx.store
            .jobs()
            .register(me, "worker", "test")
            .await
            .unwrap();
        Self {
            ctx,
            sandbox,
            org,
            connection: row.id,
            public_key,
            me,
            keyring: String::clone(&keyring),
            database,
        }
    }

    /// Its database.
    pub fn url(&self) -> String {
        match &self.database {
            Kept::Sqlite { folder } => {
                format!("sqlite://{}", folder.path().join("test.db").display())
            }
            Kept::Postgres { database } => database.url().to_owned(),
        }
    }

    /// What another worker process on the same database would work with.
    pub async fn another_process(&self) -> Context {
        let url = self.url();
        let options = ConnectOptions {
            max_connections: 4,
            application_name: "test".into(),
        };
        let db = connect(&url, options).await.unwrap();
        Context {
            store: Store::new(db, Arc::clone(&self.ctx.clock)),
            refresher: Arc::default(),
            ..self.ctx.clone()
        }
    }

    /// A desk whose connection has passed its test with the right token.
    pub async fn connected(self) -> Self {
        self.test_token(TOKEN).await.unwrap();
        self
    }

    /// Enqueues, claims and runs a test of a new token; settles it.
    pub async fn test_token(&self, token: &str) -> Result<Value, JobError> {
        self.try_token(token, None).await
    }

    /// The same, asked for when the connection was disconnected.
    pub async fn revive_with(&self, token: &str) -> Result<Value, JobError> {
        let asked_at = self.row().await.disconnected_at;
        self.try_token(token, asked_at).await
    }

    /// `revives` is when the connection had been disconnected as this was asked for.
    pub async fn try_token(
        &self,
        token: &str,
        revives: Option<DateTime<Utc>>,
    ) -> Result<Value, JobError> {
        let mut job = self.new_job(JobKind::ConnectionTest);
        let config = json!({});
        job.args = serde_json::to_value(ConnectionTestArgs { config, revives }).unwrap();
        let id = JobId::new(self.ctx.store.clock());
        let fields = SecretFields([("access_token".to_owned(), Secret::new(token))].into());
        job.id = Some(id);
        job.sealed = Some(self.public_key.seal(self.org, id, &fields));
        let run = self.claim(job).await;
        let outcome = jobs::run(&run, &self.ctx).await;
        self.settle(&run, &outcome).await;
        outcome
    }

    /// The same with the credential in force and the config as it is.
    pub async fn test_again(&self) -> Result<Value, JobError> {
        let mut job = self.new_job(JobKind::ConnectionTest);
        let (config, revives) = (self.row().await.config, None);
        job.args = serde_json::to_value(ConnectionTestArgs { config, revives }).unwrap();
        let run = self.claim(job).await;
        let outcome = jobs::run(&run, &self.ctx).await;
        self.settle(&run, &outcome).await;
        outcome
    }

    /// Enqueues, claims and runs a sync; settles it.
    pub async fn sync(&self, stream: &str, pull: PullMode) -> Result<Value, JobError> {
        let run = self.claim(self.sync_job(stream, pull)).await;
        let outcome = jobs::run(&run, &self.ctx).await;
        self.settle(&run, &outcome).await;
        outcome
    }

    pub fn sync_job(&self, stream: &str, pull: PullMode) -> NewJob {
        let mut job = self.new_job(JobKind::Sync);
        job.args = serde_json::to_value(SyncArgs {
            stream: stream.into(),
            pull,
        })
        .unwrap();
        job.lane = Some(format!("{}:{stream}", self.connection));
        job
    }

    pub fn new_job(&self, kind: JobKind) -> NewJob {
        let mut job = NewJob::new(Some(self.org), kind, Queue::Sync, "test");
        job.connection = Some(self.connection);
        job
    }

    /// Enqueues a job and claims it.
    pub async fn claim(&self, job: NewJob) -> JobRun {
        let tx = self.ctx.store.begin().await.unwrap();
        let enqueued = self.ctx.store.jobs().enqueue(&tx, vec![job]).await.unwrap();
        tx.commit().await.unwrap();
        self.claim_again(enqueued[0].job().id).await
    }

    /// Claims a job that waits.
    pub async fn claim_again(&self, id: JobId) -> JobRun {
        self.claim_of(Queue::Sync, id).await
    }

    /// The same in another queue.
    pub async fn claim_of(&self, queue: Queue, id: JobId) -> JobRun {
        let jobs = self.ctx.store.jobs();
        assert!(jobs.renew(self.me, &[]).await.unwrap().alive);
        let claimed = jobs.claim(self.me, queue, &[id]).await.unwrap();
        let job = claimed
            .into_iter()
            .next()
            .expect("the job is due and its lane is free");
        JobRun::new(job, self.ctx.store.clone(), self.ctx.hints.clone())
    }

    /// Settles without the policy's delays.
    pub async fn settle(&self, run: &JobRun, outcome: &Result<Value, JobError>) {
        let end = match outcome.clone() {
            Ok(result) => Settle::Succeed { result },
            Err(JobError {
                next: Next::Park { credential_version },
                failure,
            }) => Settle::Park {
                credential_version,
                failure,
            },
            Err(JobError {
                next: Next::Fail,
                failure,
            }) => Settle::Fail { failure },
            Err(JobError {
                next: Next::Retry { .. } | Next::Snooze { .. } | Next::Release,
                ..
            }) => Settle::Release,
        };
        self.ctx
            .store
            .jobs()
            .settle(&[Settlement {
                lease: run.lease,
                end,
            }])
            .await
            .unwrap();
    }

    /// Makes the merchant change; returns what was changed.
    pub fn change(&self, kind: ChangeKind, times: usize) -> Vec<String> {
        (0..times)
            .filter_map(|_| {
                self.sandbox
                    .square
                    .change(DEFAULT_MERCHANT, kind, None)
                    .unwrap()
            })
            .map(|change| change.id)
            .collect()
    }

    pub async fn row(&self) -> connection::Model {
        self.ctx
            .store
            .connection(self.ctx.store.db(), self.org, self.connection)
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn status(&self) -> ConnectionStatus {
        self.row().await.status
    }

    pub async fn job(&self, id: JobId) -> Job {
        use sea_orm::EntityTrait;
        patchbay_core::entities::job::Entity::find_by_id(id)
            .one(self.ctx.store.db())
            .await
            .unwrap()
            .unwrap()
    }

    /// Makes the place where a job stands one that the provider does not know.
    pub async fn forget_cursors(&self, id: JobId) {
        use sea_orm::{ActiveValue::Set, EntityTrait};
        let mut cursor = self.job(id).await.cursor.expect("it has committed");
        let changed = change_cursors(&mut cursor["position"]);
        assert!(changed > 0, "no cursor of the provider in {cursor}");
        let change = patchbay_core::entities::job::ActiveModel {
            id: Set(id),
            cursor: Set(Some(cursor)),
            ..Default::default()
        };
        patchbay_core::entities::job::Entity::update(change)
            .exec(self.ctx.store.db())
            .await
            .unwrap();
    }

    pub async fn state(&self, id: JobId) -> JobState {
        self.job(id).await.state
    }

    /// Every record of a stream, deleted ones too.
    pub async fn records(&self, stream: &str) -> Vec<record::Model> {
        let filter = RecordFilter {
            with_deleted: true,
            ..RecordFilter::default()
        };
        self.ctx
            .store
            .records(self.org, self.connection, stream, &filter, 100_000)
            .await
            .unwrap()
    }

    pub async fn living(&self, stream: &str) -> usize {
        self.records(stream)
            .await
            .iter()
            .filter(|record| record.deleted_at.is_none())
            .count()
    }
}

/// Changes every text called `cursor`; how many there were.
fn change_cursors(value: &mut Value) -> usize {
    let Value::Object(fields) = value else {
        return 0;
    };
    let mut changed = 0;
    for (name, field) in fields {
        match field {
            Value::String(text) if name == "cursor" => {
                text.push('x');
                changed += 1;
            }
            field => changed += change_cursors(field),
        }
    }
    changed
}
