//! A migrated database with a movable clock, and the short forms that tests speak in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    clock::{Clock, ShiftedClock},
    connection::{ConnectionStatus, Health},
    entities::{connection, credential, job, org},
    failure::{Failure, FailureKind},
    ids::{ConnectionId, CredentialId, JobId, OrgId, ProcessId},
    job::{Enqueued, JobKind, JobState, Lease, NewJob, Queue, Settle, Settlement},
    store::{
        Store,
        connect::{ConnectOptions, connect},
        jobs::{JobStore, Moved, Rescued, Settled},
    },
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_tests::TestDatabase;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait};
use serde_json::json;

/// What keeps the database there until the test ends.
#[derive(Debug)]
enum Keep {
    Postgres { _database: TestDatabase },
    Sqlite { _folder: tempfile::TempDir },
}

/// A clock that stands still until it is moved, in milliseconds since [`START`].
#[derive(Debug, Clone, Default)]
struct StillClock(Arc<AtomicI64>);

/// Where a [`StillClock`] begins.
pub const START: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).unwrap();

impl Clock for StillClock {
    fn now(&self) -> DateTime<Utc> {
        START + TimeDelta::milliseconds(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Debug)]
enum Hands {
    Running(ShiftedClock),
    Still(StillClock),
}

/// A database of its own.
#[derive(Debug)]
pub struct Stage {
    pub store: Store,
    hands: Hands,
    _keep: Keep,
}

impl Stage {
    pub async fn postgres() -> Self {
        let database = TestDatabase::fresh().await;
        let url = database.url().to_owned();
        Self::open(
            &url,
            Keep::Postgres {
                _database: database,
            },
        )
        .await
    }

    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/protocol.db", folder.path().display());
        let stage = Self::open(&url, Keep::Sqlite { _folder: folder }).await;
        Migrator::up(stage.store.db(), None).await.unwrap();
        stage
    }

    async fn open(url: &str, keep: Keep) -> Self {
        let options = ConnectOptions {
            max_connections: 6,
            application_name: "job-protocol-test".into(),
        };
        let db = connect(url, options).await.unwrap();
        let clock = ShiftedClock::default();
        Self {
            store: Store::new(db, Arc::new(clock.clone())),
            hands: Hands::Running(clock),
            _keep: keep,
        }
    }

    /// The same stage with a clock that moves only by [`Stage::advance`].
    pub async fn stop_the_clock(self) -> Self {
        if !self.is_sqlite() {
            let sql = format!(
                "create or replace function patchbay_now() returns timestamptz language sql stable as $$
                     select timestamptz '{}' + coalesce((select sum(offset_ms) from clock_offset), 0)
                         * interval '1 millisecond' $$",
                START.to_rfc3339()
            );
            self.sql(&sql).await.unwrap();
        }
        let clock = StillClock::default();
        let store = Store::new(self.store.db().clone(), Arc::new(clock.clone()));
        Self {
            store,
            hands: Hands::Still(clock),
            _keep: self._keep,
        }
    }

    pub fn is_sqlite(&self) -> bool {
        self.store.db().get_database_backend() == DbBackend::Sqlite
    }

    pub fn jobs(&self) -> &dyn JobStore {
        self.store.jobs()
    }

    /// Moves the protocol's time: the database's on PostgreSQL, the `Clock`'s on SQLite.
    pub async fn advance(&self, step: Duration) {
        let step = TimeDelta::from_std(step).unwrap();
        match &self.hands {
            Hands::Running(clock) => clock.advance(step),
            Hands::Still(clock) => {
                clock.0.fetch_add(step.num_milliseconds(), Ordering::SeqCst);
            }
        }
        if !self.is_sqlite() {
            let sql = format!(
                "insert into clock_offset values ({})",
                step.num_milliseconds()
            );
            self.sql(&sql).await.unwrap();
        }
    }

    pub async fn seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds)).await;
    }

    /// Runs raw SQL, for what the protocol itself would never do.
    pub async fn sql(&self, sql: &str) -> Result<u64, sea_orm::DbErr> {
        self.store
            .db()
            .execute_unprepared(sql)
            .await
            .map(|done| done.rows_affected())
    }

    pub async fn org(&self) -> OrgId {
        let id = OrgId::new(self.store.clock());
        let row = org::ActiveModel {
            id: Set(id),
            name: Set("acme".into()),
            created_at: Set(self.store.clock().now()),
        };
        row.insert(self.store.db()).await.unwrap();
        id
    }

    /// An active connection with a credential of version 1.
    pub async fn connection(&self, org: OrgId) -> ConnectionId {
        let now = self.store.clock().now();
        let id = ConnectionId::new(self.store.clock());
        let row = connection::ActiveModel {
            id: Set(id),
            org_id: Set(org),
            provider: Set("square".into()),
            name: Set("shop".into()),
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
        };
        row.insert(self.store.db()).await.unwrap();
        self.credential(org, id, 1).await;
        id
    }

    /// Makes this version the current one.
    pub async fn credential(&self, org: OrgId, connection: ConnectionId, version: i64) {
        let now = self.store.clock().now();
        self.revoke(connection).await;
        let row = credential::ActiveModel {
            id: Set(CredentialId::new(self.store.clock())),
            org_id: Set(org),
            connection_id: Set(connection),
            version: Set(version),
            sealed: Set(Some(vec![1])),
            mask: Set(json!({})),
            created_by: Set("test".into()),
            created_at: Set(now),
            ..Default::default()
        };
        row.insert(self.store.db()).await.unwrap();
    }

    /// Leaves the connection without a current credential.
    pub async fn revoke(&self, connection: ConnectionId) {
        use patchbay_core::entities::credential::{Column, Entity};
        use sea_orm::{ColumnTrait, QueryFilter, sea_query::Expr};
        Entity::update_many()
            .col_expr(Column::Sealed, Expr::value(Option::<Vec<u8>>::None))
            .col_expr(
                Column::RevokedAt,
                Expr::value(Some(self.store.clock().now())),
            )
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::RevokedAt.is_null())
            .exec(self.store.db())
            .await
            .unwrap();
    }

    /// What a body does that finds the credential in force refused: it breaks the
    /// connection, then it parks.
    pub async fn refuse(&self, lease: Lease) -> Option<Settled> {
        let connection = self.row(lease.job).await.connection_id.unwrap();
        self.status(connection, ConnectionStatus::Error).await;
        self.settle(lease, park(Some(1))).await
    }

    pub async fn status(&self, connection: ConnectionId, status: ConnectionStatus) {
        let row = connection::ActiveModel {
            id: Set(connection),
            status: Set(status),
            ..Default::default()
        };
        row.update(self.store.db()).await.unwrap();
    }

    /// A registered process with a live lease.
    pub async fn worker(&self) -> ProcessId {
        let me = ProcessId::new(self.store.clock());
        self.jobs()
            .register(me, "worker", "test-host")
            .await
            .unwrap();
        me
    }

    pub async fn enqueue(&self, jobs: Vec<NewJob>) -> Vec<Enqueued> {
        let tx = self.store.begin().await.unwrap();
        let answers = self.jobs().enqueue(&tx, jobs).await.unwrap();
        tx.commit().await.unwrap();
        answers
    }

    /// Enqueues one job and gives its row.
    pub async fn add(&self, job: NewJob) -> job::Model {
        self.enqueue(vec![job]).await.remove(0).into_job()
    }

    pub async fn claim(&self, me: ProcessId, ids: &[JobId]) -> Vec<job::Model> {
        self.jobs().claim(me, Queue::Sync, ids).await.unwrap()
    }

    /// Claims a job that must be claimable.
    pub async fn start(&self, me: ProcessId, id: JobId) -> Lease {
        let claimed = self.claim(me, &[id]).await;
        assert_eq!(
            claimed.len(),
            1,
            "the job is claimable: {:?}",
            self.row(id).await
        );
        lease(&claimed[0])
    }

    /// Claims the one job that is to run alone.
    pub async fn start_alone(&self, me: ProcessId, id: JobId) -> Lease {
        let queues = [Queue::Sync];
        assert_eq!(self.jobs().make_room(me, &queues).await.unwrap(), Some(id));
        lease(&self.jobs().claim_alone(me, &queues).await.unwrap().unwrap())
    }

    pub async fn settle(&self, lease: Lease, end: Settle) -> Option<Settled> {
        self.jobs()
            .settle(&[Settlement { lease, end }])
            .await
            .unwrap()
            .pop()
    }

    pub async fn row(&self, id: JobId) -> job::Model {
        job::Entity::find_by_id(id)
            .one(self.store.db())
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn state(&self, id: JobId) -> JobState {
        self.row(id).await.state
    }

    pub async fn cancel(&self, org: OrgId, id: JobId) -> Moved {
        let tx = self.store.begin().await.unwrap();
        let moved = self.jobs().cancel(&tx, org, id).await.unwrap();
        tx.commit().await.unwrap();
        moved
    }

    pub async fn retry(&self, org: OrgId, id: JobId) -> Moved {
        let tx = self.store.begin().await.unwrap();
        let moved = self.jobs().retry(&tx, org, id).await.unwrap();
        tx.commit().await.unwrap();
        moved
    }

    pub async fn discard(&self, org: OrgId, id: JobId) -> Moved {
        let tx = self.store.begin().await.unwrap();
        let moved = self.jobs().discard(&tx, org, id).await.unwrap();
        tx.commit().await.unwrap();
        moved
    }

    /// A rescue by a scheduler that is alive, after every other process has died.
    pub async fn everyone_dies(&self) -> Rescued {
        self.seconds(7).await;
        let scheduler = self.worker().await;
        self.jobs().rescue(scheduler).await.unwrap()
    }
}

/// A job that does nothing, on queue `sync`.
pub fn noop(org: OrgId) -> NewJob {
    NewJob::new(Some(org), JobKind::Noop, Queue::Sync, "test")
}

pub fn in_lane(org: OrgId, lane: &str) -> NewJob {
    NewJob {
        lane: Some(format!("{org}:{lane}")),
        ..noop(org)
    }
}

pub fn with_key(org: OrgId, key: &str) -> NewJob {
    NewJob {
        dedupe_key: Some(format!("{org}:{key}")),
        ..noop(org)
    }
}

pub fn of_connection(org: OrgId, connection: ConnectionId) -> NewJob {
    NewJob {
        connection: Some(connection),
        ..noop(org)
    }
}

pub fn lease(job: &job::Model) -> Lease {
    Lease {
        job: job.id,
        epoch: job.lease_epoch,
    }
}

pub fn failure(message: &str) -> Failure {
    Failure::new(FailureKind::ProviderDown, message, "try later")
}

pub fn succeed() -> Settle {
    Settle::Succeed {
        result: json!({ "ok": true }),
    }
}

pub fn fail() -> Settle {
    Settle::Fail {
        failure: failure("no"),
    }
}

pub fn retry_after(seconds: u64) -> Settle {
    Settle::Retry {
        delay: Duration::from_secs(seconds),
        failure: failure("not now"),
    }
}

pub fn snooze(seconds: u64) -> Settle {
    Settle::Snooze {
        delay: Duration::from_secs(seconds),
        failure: failure("later"),
    }
}

pub fn park(version: Option<i64>) -> Settle {
    Settle::Park {
        credential_version: version,
        failure: failure("refused"),
    }
}

pub fn ids(jobs: &[job::Model]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
