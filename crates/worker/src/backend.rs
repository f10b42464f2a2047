//! The source that apalis polls, and the layer in which it sees completions. Both only
//! pass runs between the apalis worker and the queue's driver, so that no fault of a
//! database or of Redis ever reaches the worker or a running body.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context as Polling, Poll},
};

use apalis::layers::catch_panic::PanicError;
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    error::BoxDynError,
    task::Task,
    worker::context::WorkerContext,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tower::{Layer, Service};

use crate::{run::JobRun, supervise::Ended};

/// A run that ended, on its way to the driver.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) run: Arc<JobRun>,
    pub(crate) ended: Ended,
}

/// Claimed jobs of one queue, as apalis sees them. The driver bounds their number by the
/// queue's slots.
#[derive(Debug)]
pub(crate) struct QueueBackend {
    claimed: UnboundedReceiver<Arc<JobRun>>,
    finished: UnboundedSender<Finished>,
}

impl QueueBackend {
    pub(crate) fn new(
        claimed: UnboundedReceiver<Arc<JobRun>>,
        finished: UnboundedSender<Finished>,
    ) -> Self {
        Self { claimed, finished }
    }
}

impl Backend for QueueBackend {
    type Task = Task<Arc<JobRun>>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Polling<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Polling<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.claimed
            .poll_recv(cx)
            .map(|run| run.map(|run| Ok(Task::new(run))))
    }

    /// The driver closes only when every run is settled, so nothing is left to flush.
    fn poll_close(
        &mut self,
        _: &mut Polling<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for QueueBackend {
    type Args = Arc<JobRun>;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = CompletionLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> CompletionLayer {
        CompletionLayer(self.finished.clone())
    }
}

/// Tells the driver of every end.
#[derive(Debug, Clone)]
pub(crate) struct CompletionLayer(UnboundedSender<Finished>);

impl<S> Layer<S> for CompletionLayer {
    type Service = Completion<S>;

    fn layer(&self, inner: S) -> Completion<S> {
        Completion {
            inner,
            finished: self.0.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Completion<S> {
    inner: S,
    finished: UnboundedSender<Finished>,
}

impl<S> Service<Task<Arc<JobRun>>> for Completion<S>
where
    S: Service<Task<Arc<JobRun>>, Response = Ended>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Polling<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Arc<JobRun>>) -> Self::Future {
        let run = Arc::clone(&task.args);
        let finished = self.finished.clone();
        let body = self.inner.call(task);
        Box::pin(async move {
            let ended = body
                .await
                .unwrap_or_else(|error| Ended::Panicked(panic_text(&error.into())));
            if finished.send(Finished { run, ended }).is_err() {
                tracing::debug!("a body ended after its driver: the process is leaving");
            }
            Ok(())
        })
    }
}

/// `catch_panic` wraps the text; another error is told as it is.
fn panic_text(error: &BoxDynError) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = source {
        if let Some(PanicError(text)) = error.downcast_ref() {
            return text.clone();
        }
        source = error.source();
    }
    error.to_string()
}
