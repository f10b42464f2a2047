//! The process's lease: registered, renewed every second, given back at the end. It runs
//! on a thread, a runtime and a database connection of its own, so that busy bodies or a
//! drained pool cannot make a healthy process look dead.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use patchbay_core::{
    clock::Clock,
    ids::{JobId, ProcessId},
    store::{
        Store, StoreError,
        connect::{ConnectError, ConnectOptions, connect},
        jobs::{LEASE, Renewal},
    },
};
use sea_orm::DbBackend;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    book::Book,
    context::Context,
    deaf::DeafWatch,
    metrics::Metrics,
    run::{JobRun, StopReason},
};

/// A sixth of the lease: five renewals may fail in a row.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// A renewal that takes longer is tried again on a new connection.
const RENEW_WITHIN: Duration = Duration::from_secs(2);
/// A body whose job is lost may still say goodbye for this long; it cannot write any more.
const GOODBYE: Duration = Duration::from_millis(500);
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
const RETRY_EVERY: Duration = Duration::from_millis(300);

/// Opens a connection of its own to the product's database. Called on the lease's thread.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Store, ConnectError>> + Send + Sync>;

/// The lease's way to the product's database: on PostgreSQL a connection of its
/// own; on SQLite, which is in this process anyway, the same pool.
#[must_use]
pub fn own_connection(url: String, ctx: &Context) -> Connect {
    let ctx = ctx.clone();
    Arc::new(move || {
        let url = url.clone();
        let Context { store, clock, .. } = ctx.clone();
        async move {
            if store.db().get_database_backend() == DbBackend::Sqlite {
                return Ok(store);
            }
            let options = ConnectOptions {
                max_connections: 1,
                application_name: "patchbay-lease".to_owned(),
            };
            Ok(Store::new(connect(&url, options).await?, clock))
        }
        .boxed()
    })
}

#[derive(Debug, thiserror::Error)]
enum NotRegistered {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a process is, as its row says.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// `worker` or `up`.
    pub(crate) kind: String,
    /// Where it runs.
    pub(crate) host: String,
}

/// Keeps the lease until `stop`.
pub(crate) struct Keeper {
    pub(crate) connect: Connect,
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) book: Arc<Book>,
    pub(crate) metrics: Arc<Metrics>,
    /// The process's id while its lease is known to live.
    pub(crate) me: watch::Sender<Option<ProcessId>>,
    pub(crate) stop: CancellationToken,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Why renewing under one id ended.
enum Over {
    /// The process stops.
    Stopped,
    /// Declared dead: begin again under a new id.
    Dead,
}

impl Keeper {
    /// Starts the thread. The receiver gets the jobs that were released at the end.
    pub(crate) fn start(self) -> std::io::Result<tokio::sync::oneshot::Receiver<Vec<JobId>>> {
        let (left, released) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("patchbay-lease".to_owned())
            .spawn(move || {
                let jobs = runtime.block_on(self.keep());
                if left.send(jobs).is_err() {
                    tracing::debug!("nobody waited for the lease to be given back");
                }
            })?;
        Ok(released)
    }

    async fn keep(self) -> Vec<JobId> {
        loop {
            let Some((store, me)) = self.register().await else {
                return Vec::new();
            };
            self.me.send_replace(Some(me));
            let (store, over) = self.renew_until_over(store, me).await;
            self.me.send_replace(None);
            let released = self.leave(&store, me).await;
            match over {
                Over::Stopped => return released,
                Over::Dead => {
                    self.metrics.declared_dead.add(1);
                    tracing::warn!(process = %me, "this process was declared dead; it starts again under a new id");
                }
            }
        }
    }

    /// Patiently, until the database takes it or the process stops.
    async fn register(&self) -> Option<(Store, ProcessId)> {
        let mut complained = false;
        loop {
            let me = ProcessId::new(&*self.clock);
            let registered = async {
                let store = (self.connect)().await?;
                store
                    .jobs()
                    .register(me, &self.identity.kind, &self.identity.host)
                    .await?;
                Ok::<_, NotRegistered>(store)
            };
            match timeout(RENEW_WITHIN, registered).await {
                Ok(Ok(store)) => return Some((store, me)),
                outcome if !complained => {
                    complained = true;
                    tracing::warn!(
                        ?outcome,
                        "the process could not register with the database; it tries on"
                    );
                }
                outcome => tracing::debug!(?outcome, "still not registered"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_EVERY) => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    async fn renew_until_over(&self, mut store: Store, me: ProcessId) -> (Store, Over) {
        let mut renewed_at = Instant::now();
        let mut wait = RENEW_EVERY;
        let mut deaf = DeafWatch::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return (store, Over::Stopped),
            }
            self.abort_if_a_body_is_deaf(&mut deaf);
            let asked_at = Instant::now();
            let held = self.book.held();
            match timeout(RENEW_WITHIN, store.jobs().renew(me, &held)).await {
                Ok(Ok(Renewal { alive: true, lost })) => {
                    renewed_at = asked_at;
                    wait = RENEW_EVERY.saturating_sub(asked_at.elapsed());
                    self.stop_lost(self.book.running(&lost));
                    if self.me.borrow().is_none() {
                        tracing::info!(process = %me, "the lease is renewed again");
                        self.me.send_replace(Some(me));
                    }
                }
                Ok(Ok(Renewal { alive: false, .. })) => {
                    self.stop_lost(self.book.all_running());
                    return (store, Over::Dead);
                }
                failed => {
                    self.metrics.renewals_failed.add(1);
                    tracing::warn!(?failed, "the lease could not be renewed");
                    wait = RETRY_EVERY;
                    if renewed_at.elapsed() >= LEASE && self.me.borrow().is_some() {
                        tracing::error!(process = %me, "the lease has run out unrenewed: bodies are stopped");
                        self.me.send_replace(None);
                        self.stop_lost(self.book.all_running());
                    }
                    // A connection that has stopped answering would fail every renewal.
                    if let Ok(Ok(fresh)) = timeout(RENEW_WITHIN, (self.connect)()).await {
                        store = fresh;
                    }
                }
            }
        }
    }

    fn stop_lost(&self, runs: Vec<Arc<JobRun>>) {
        if runs.is_empty() {
            return;
        }
        self.metrics.leases_lost.add(runs.len());
        for run in &runs {
            run.stop_for(StopReason::Lost);
        }
        tokio::spawn(async move {
            tokio::time::sleep(GOODBYE).await;
            for run in runs {
                run.abandon.cancel();
            }
        });
    }

    /// A body that blocks its thread holds its slot, its lane and the runtime for good.
    /// Ending the process frees them: the rescue gives its jobs to others.
    fn abort_if_a_body_is_deaf(&self, watch: &mut DeafWatch) {
        let now = Instant::now();
        let Some(lease) = watch.look(now, &self.book.deaf(now)) else {
            return;
        };
        tracing::error!(
            job = %lease.job,
            "a job's body blocks its thread and hears no deadline; the process aborts so that its work goes on elsewhere"
        );
        std::process::abort();
    }

    /// Unfinished jobs go back to the queue, uncharged.
    async fn leave(&self, store: &Store, me: ProcessId) -> Vec<JobId> {
        match timeout(LEAVE_WITHIN, store.jobs().leave(me)).await {
            Ok(Ok(released)) => released,
            failed => {
                tracing::warn!(?failed, process = %me, "the lease was not given back; the rescue will take its jobs");
                Vec::new()
            }
        }
    }
}
