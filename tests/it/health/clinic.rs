//! Many connections, each of an org of its own, at the Square stand-in, and a clock.

use std::sync::Arc;

use chrono::TimeDelta;
use patchbay_core::{
    clock::{Clock, ShiftedClock},
    entities::connection,
    health::window::Window,
    hints::MemoryHints,
    ids::{ConnectionId, CredentialId, JobId, OrgId, ProcessId},
    job::{JobError, JobKind, JobState, NewJob, Queue, Settle, Settlement},
    job_args::{CheckReason, HealthCheckArgs},
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    secret::{Secret, SecretFields},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        connections::{Inserted, NewConnection, TestedAccount},
        credentials::NewCredential,
        health::HealthPicture,
    },
    vault::{Keyring, Vault},
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_providers::Registry;
use patchbay_sandbox::{
    Dataset, RunningSandbox, Sandbox, SandboxOptions, Sizes,
    square::{DEFAULT_MERCHANT, DEFAULT_TOKEN},
};
use patchbay_tests::TestDatabase;
use patchbay_worker::{Context, JobRun, jobs};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

pub struct Clinic {
    pub ctx: Context,
    pub sandbox: RunningSandbox,
    pub clock: ShiftedClock,
    _database: Kept,
}

/// Goes when the test ends.
enum Kept {
    Sqlite { _folder: tempfile::TempDir },
    Postgres { _database: TestDatabase },
}

/// A connection and its org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patient {
    pub org: OrgId,
    pub id: ConnectionId,
}

fn options() -> ConnectOptions {
    ConnectOptions {
        max_connections: 4,
        application_name: "test".into(),
    }
}

impl Clinic {
    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let db = connect(&url, options()).await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        let clock = ShiftedClock::default();
        let store = Store::new(db, Arc::new(clock.clone()) as Arc<dyn Clock>);
        Self::at(store, clock, Kept::Sqlite { _folder: folder }).await
    }

    pub async fn on_postgres() -> Self {
        let database = TestDatabase::fresh().await;
        let db = connect(database.url(), options()).await.unwrap();
        let clock = ShiftedClock::default();
        let store = Store::new(db, Arc::new(clock.clone()) as Arc<dyn Clock>);
        let kept = Kept::Postgres {
            _database: database,
        };
        Self::at(store, clock, kept).await
    }

    async fn at(store: Store, clock: ShiftedClock, database: Kept) -> Self {
        let sizes = Sizes {
            items: 5,
            orders: 5,
            customers: 5,
            ..Sizes::default()
        };
        let options = SandboxOptions::with(Dataset::seeded(7, &sizes));
        let sandbox = Sandbox::start(options).await.unwrap();
        let keyring = Keyring::parse(&Keyring::generate()).unwrap();
        let deployment = store.deployment_id().await.unwrap();
        let policy = AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
        };
        let base_url = sandbox.square_url().parse().unwrap();
        let providers = Registry::builtin()
            .with_base_url("square", base_url)
            .unwrap();
        let config = OutboundConfig {
            policy,
            ..OutboundConfig::default()
        };
        let ctx = Context {
            hints: Arc::new(MemoryHints::new()),
            clock: Arc::new(clock.clone()),
            vault: Arc::new(Vault::new(keyring, deployment)),
            providers: Arc::new(providers),
            outbound: Arc::new(Outbound::new(config).unwrap()),
            clients: Arc::default(),
            refresher: Arc::default(),
            consents: Arc::default(),
            silence: Arc::default(),
            store,
        };
        Self {
            ctx,
            sandbox,
            clock,
            _database: database,
        }
    }

    /// The process that runs this job ends, and its jobs are queued again.
    pub async fn end_process_of(&self, run: &JobRun) {
        let process = run.job.leased_by.unwrap();
        self.ctx.store.jobs().leave(process).await.unwrap();
    }

    /// An active connection with the token that the stand-in takes.
    pub async fn patient(&self) -> Patient {
        self.patient_with(DEFAULT_TOKEN).await
    }

    pub async fn patients(&self, count: usize) -> Vec<Patient> {
        let mut patients = Vec::new();
        for _ in 0..count {
            patients.push(self.patient().await);
        }
        patients
    }

    /// An active connection with any token, as if it had passed its test.
    pub async fn patient_with(&self, token: &str) -> Patient {
        self.patient_at("square", token).await
    }

    pub async fn patient_at(&self, provider: &str, token: &str) -> Patient {
        let store = &self.ctx.store;
        let tx = store.begin().await.unwrap();
        let org = store.create_org(&tx, "Bakery", "test").await.unwrap().id;
        let new = NewConnection {
            org,
            provider: provider.into(),
            name: "Till".into(),
            config: json!({}),
            exclusive: true,
            created_by: "test".into(),
        };
        let Inserted::New(row) = store.insert_connection(&tx, new).await.unwrap() else {
            panic!("the first of its provider")
        };
        let id = CredentialId::new(store.clock());
        let fields = SecretFields([("access_token".to_owned(), Secret::new(token))].into());
        let sealed = self
            .ctx
            .vault
            .close_credential(store, &tx, org, row.id, id, &fields)
            .await
            .unwrap();
        let credential = NewCredential {
            id,
            sealed,
            mask: json!({}),
            expires_at: None,
            created_by: "test".into(),
            grant: None,
        };
        store
            .replace_credential(&tx, org, row.id, credential)
            .await
            .unwrap();
        let account = TestedAccount {
            key: DEFAULT_MERCHANT.into(),
            name: "Bakery".into(),
        };
        store
            .activate_connection(&tx, &row, json!({}), &account, "test")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Patient { org, id: row.id }
    }

    /// Moves every clock.
    pub async fn advance(&self, minutes: i64) {
        let store = &self.ctx.store;
        if !store.is_one_process() {
            let sql = format!("insert into clock_offset values ({})", minutes * 60_000);
            store.db().execute_unprepared(&sql).await.unwrap();
        }
        self.clock.advance(TimeDelta::minutes(minutes));
    }

    /// One run of the scheduler's duty: the jobs it made.
    pub async fn tick(&self) -> Vec<JobId> {
        let ticked = self.ctx.store.tick_checks(1_000).await.unwrap();
        ticked.jobs.into_iter().map(|due| due.job).collect()
    }

    /// Claims a job, runs its body and settles it.
    pub async fn work(&self, job: JobId) -> Result<Value, JobError> {
        let run = self.claim(job).await;
        let outcome = Box::pin(jobs::run(&run, &self.ctx)).await;
        self.settle(&run, &outcome).await;
        outcome
    }

    /// Claims a job for a process of its own: no lease outlives a moved clock.
    pub async fn claim(&self, id: JobId) -> JobRun {
        let jobs = self.ctx.store.jobs();
        let me = ProcessId::new(self.ctx.store.clock());
        jobs.register(me, "worker", "test").await.unwrap();
        for queue in Queue::ALL {
            let claimed = jobs.claim(me, queue, &[id]).await.unwrap();
            if let Some(job) = claimed.into_iter().next() {
                return JobRun::new(job, self.ctx.store.clone(), self.ctx.hints.clone());
            }
        }
        panic!("the job cannot be claimed")
    }

    pub async fn settle(&self, run: &JobRun, outcome: &Result<Value, JobError>) {
        let end = match outcome.clone() {
            Ok(result) => Settle::Succeed { result },
            Err(error) => Settle::Fail {
                failure: error.failure,
            },
        };
        let settlement = Settlement {
            lease: run.lease,
            end,
        };
        self.ctx.store.jobs().settle(&[settlement]).await.unwrap();
    }

    /// Five minutes pass, and what is due is done.
    pub async fn round(&self) {
        self.advance(5).await;
        for job in self.tick().await {
            self.work(job).await.unwrap();
        }
    }

    /// A check that a person asks for.
    pub async fn check(&self, patient: Patient) -> Result<Value, JobError> {
        let args = HealthCheckArgs {
            reason: CheckReason::Manual,
        };
        let new = NewJob {
            connection: Some(patient.id),
            args: serde_json::to_value(args).unwrap(),
            ..NewJob::new(
                Some(patient.org),
                JobKind::HealthCheck,
                Queue::Interactive,
                "test",
            )
        };
        let id = self.enqueue(new).await;
        self.work(id).await
    }

    pub async fn enqueue(&self, new: NewJob) -> JobId {
        let store = &self.ctx.store;
        let tx = store.begin().await.unwrap();
        let enqueued = store.jobs().enqueue(&tx, vec![new]).await.unwrap();
        tx.commit().await.unwrap();
        enqueued[0].job().id
    }

    pub async fn row(&self, patient: Patient) -> connection::Model {
        let store = &self.ctx.store;
        let row = store.connection(store.db(), patient.org, patient.id).await;
        let mut rows = [row.unwrap().unwrap()];
        store.with_last_checks(&mut rows).await.unwrap();
        let [row] = rows;
        row
    }

    pub async fn picture(&self, patient: Patient, window: Window) -> HealthPicture {
        let row = self.row(patient).await;
        self.ctx.store.health_picture(&row, window).await.unwrap()
    }

    /// Checks and failed ones of the last day.
    pub async fn counted(&self, patient: Patient) -> (u32, u32) {
        let picture = self.picture(patient, Window::Day).await;
        (picture.tally.checks, picture.tally.failed)
    }

    pub async fn set_enabled(&self, patient: Patient, enabled: bool) {
        let store = &self.ctx.store;
        let tx = store.begin().await.unwrap();
        let row = store.lock_connection(&tx, patient.org, patient.id).await;
        let row = row.unwrap().unwrap();
        store.set_enabled(&tx, &row, enabled, "test").await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn state(&self, id: JobId) -> JobState {
        use sea_orm::EntityTrait;
        let row = patchbay_core::entities::job::Entity::find_by_id(id)
            .one(self.ctx.store.db())
            .await;
        row.unwrap().unwrap().state
    }
}
