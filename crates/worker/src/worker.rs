//! A worker process: one lease, and for each queue a driver and an apalis worker.

use std::{sync::Arc, time::Duration};

use apalis::{layers::WorkerBuilderExt, prelude::WorkerBuilder};
use apalis_core::{
    error::BoxDynError,
    worker::{context::WorkerContext, ext::parallelize::ParallelizeLayer},
};
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use patchbay_core::{ids::ProcessId, job::Queue};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    alone::{Room, Warden},
    backend::QueueBackend,
    book::Book,
    context::Context,
    driver::{Parts, drive},
    lease::{Connect, Identity, Keeper},
    metrics::Metrics,
    run::{JobRun, StopReason},
    supervise::supervise,
};

/// How long bodies may take to checkpoint after the first signal, unless set otherwise.
pub const STOP_WITHIN: Duration = Duration::from_secs(25);
/// For the settlements and releases after the last body is gone.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// What a worker process needs.
pub struct WorkerDeps {
    /// What bodies work with.
    pub context: Context,
    /// Opens the lease's own connection.
    pub connect: Connect,
    /// `worker`, or `up` where the whole product is one process.
    pub kind: String,
    /// Where it runs, as operators see it.
    pub host: String,
    /// How long bodies may take to stop.
    pub stop_within: Duration,
    /// Told the process's id while its lease lives; a scheduler in the same process reads it.
    pub me: watch::Sender<Option<ProcessId>>,
    /// Counted into.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for WorkerDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerDeps")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl WorkerDeps {
    /// A worker with the usual patience.
    #[must_use]
    pub fn new(
        context: Context,
        connect: Connect,
        kind: impl Into<String>,
        host: impl Into<String>,
    ) -> Self {
        Self {
            context,
            connect,
            kind: kind.into(),
            host: host.into(),
            stop_within: STOP_WITHIN,
            me: watch::Sender::new(None),
            metrics: Arc::default(),
        }
    }
}

/// Why a worker did not run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No thread for the lease.
    #[error("the thread that renews the lease could not be started: {0}")]
    LeaseThread(#[from] std::io::Error),
    /// Never seen: the source that apalis polls does not fail.
    #[error("the worker of queue {queue} ended: {why}")]
    Ended {
        /// Which queue.
        queue: &'static str,
        /// What apalis said.
        why: String,
    },
}

/// Serves these queues with so many slots each until `shutdown`, then stops gracefully:
/// no new claims, bodies are asked to stop and have `stop_within`; what is unfinished then,
/// or when `hurry` comes, goes back to the queue without burning an attempt.
///
/// # Errors
/// Nothing was run, or a worker ended by itself.
pub async fn run(
    deps: WorkerDeps,
    queues: Vec<(Queue, usize)>,
    shutdown: CancellationToken,
    hurry: CancellationToken,
) -> Result<(), WorkerError> {
    let book = Arc::new(Book::default());
    let me = deps.me.subscribe();
    let leave = CancellationToken::new();
    let left = Keeper {
        connect: deps.connect,
        identity: Identity {
            kind: deps.kind,
            host: deps.host,
        },
        clock: Arc::clone(&deps.context.clock),
        book: Arc::clone(&book),
        metrics: Arc::clone(&deps.metrics),
        me: deps.me,
        stop: leave.clone(),
    }
    .start()?;

    let mut drivers = JoinSet::new();
    let mut workers = JoinSet::new();
    let mut contexts = Vec::new();
    let room = Arc::new(Room::new());
    let mut to_drivers = Vec::new();
    for (queue, slots) in queues {
        let (to_worker, claimed) = mpsc::unbounded_channel();
        let (to_driver, finished) = mpsc::unbounded_channel();
        let (give, given) = mpsc::unbounded_channel();
        to_drivers.push((queue, give));
        let worker_context = WorkerContext::new(queue.name());
        contexts.push(worker_context.clone());
        let backend = QueueBackend::new(claimed, to_driver);
        let (ctx, metrics) = (deps.context.clone(), Arc::clone(&deps.metrics));
        workers.spawn(serve(queue, slots, worker_context, backend, ctx, metrics));
        drivers.spawn(drive(Parts {
            queue,
            slots,
            ctx: deps.context.clone(),
            me: me.clone(),
            book: Arc::clone(&book),
            metrics: Arc::clone(&deps.metrics),
            to_worker,
            finished,
            room: Arc::clone(&room),
            given,
            stop: shutdown.clone(),
        }));
    }
    let warden = Warden {
        store: deps.context.store.clone(),
        me,
        book: Arc::clone(&book),
        room,
        drivers: to_drivers,
        stop: shutdown.clone(),
    };
    tokio::spawn(warden.keep());

    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        Some(ended) = workers.join_next() => Err(early_end(ended)),
    };
    shutdown.cancel();
    wind_down(&book, drivers, deps.stop_within, &hurry).await;
    for context in contexts {
        if let Err(error) = context.stop() {
            tracing::debug!(%error, "a worker had stopped before");
        }
    }
    leave.cancel();
    match timeout(LEAVE_WITHIN, left).await {
        Ok(Ok(jobs)) if !jobs.is_empty() => {
            tracing::info!(jobs = jobs.len(), "unfinished jobs were given back")
        }
        Ok(_) => {}
        Err(_) => {
            tracing::warn!("the lease was not given back in time; the rescue will take its jobs")
        }
    }
    ended
}

/// Boxed where the worker's type is known: inside an `async fn` the compiler loses sight
/// of the lifetimes in apalis' layers and cannot tell that the future is `Send`.
fn serve(
    queue: Queue,
    slots: usize,
    worker_context: WorkerContext,
    backend: QueueBackend,
    ctx: Context,
    metrics: Arc<Metrics>,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let body = move |run: Arc<JobRun>| {
        let (ctx, metrics) = (ctx.clone(), Arc::clone(&metrics));
        async move { Ok::<_, BoxDynError>(supervise(run, ctx, metrics).await) }
    };
    WorkerBuilder::new(worker_context)
        .backend(backend)
        .concurrency(slots)
        // A task for each body: one that computes does not hold up the others.
        .layer(ParallelizeLayer::new(tokio::spawn))
        .catch_panic()
        .build(body)
        .run()
        .map_err(move |error| WorkerError::Ended {
            queue: queue.name(),
            why: error.to_string(),
        })
        .boxed()
}

/// Returns when everything is settled, or it is time to go anyway.
async fn wind_down(
    book: &Book,
    mut drivers: JoinSet<()>,
    stop_within: Duration,
    hurry: &CancellationToken,
) {
    for run in book.all_running() {
        run.stop_for(StopReason::Shutdown);
    }
    let settled = async { while drivers.join_next().await.is_some() {} };
    tokio::pin!(settled);
    tokio::select! {
        () = &mut settled => return,
        () = tokio::time::sleep(stop_within) => {}
        () = hurry.cancelled() => {}
    }
    let unfinished = book.all_running();
    tracing::info!(
        jobs = unfinished.len(),
        "bodies that have not stopped are dropped"
    );
    for run in unfinished {
        run.abandon.cancel();
    }
    if timeout(SETTLE_WITHIN, settled).await.is_err() {
        tracing::warn!("some jobs were not settled in time; the lease releases them");
    }
}

fn early_end(ended: Result<Result<(), WorkerError>, tokio::task::JoinError>) -> WorkerError {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => WorkerError::Ended {
            queue: "?",
            why: "it stopped by itself".to_owned(),
        },
        Err(error) => WorkerError::Ended {
            queue: "?",
            why: error.to_string(),
        },
    }
}
