//! Pages, gathered ahead of what is being written: while one batch is committed the
//! next is fetched, and one more may wait. So three batches are in memory at most.
//! What has come does not wait for a page that is slow to come.

use std::sync::Arc;

use patchbay_core::{failure::FailureKind, store::records::RECORDS_PER_BATCH};
use patchbay_providers::{Page, Provider, ProviderError, Pull, Session};
use tokio::{
    sync::mpsc::{self, Permit, error::SendError},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::batch::Batch;
use crate::jobs::opening::Opened;

type Gathered = Result<Batch, ProviderError>;

/// A run of fetches on a task of its own; dropping it stops them.
pub(super) struct Gathering {
    batches: mpsc::Receiver<Gathered>,
    _task: AbortOnDropHandle<()>,
}

impl Gathering {
    /// Begins at the place that `pull` names.
    pub(super) fn begin(opened: &Opened, pull: Pull) -> Self {
        let (to_writer, batches) = mpsc::channel(1);
        let (provider, session) = (Arc::clone(&opened.provider), opened.session.clone());
        let task = tokio::spawn(gather(provider, session, pull, to_writer));
        Self {
            batches,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The next batch; nothing comes after the last one or an error.
    ///
    /// # Errors
    /// What the provider answered, after every page that came before it.
    pub(super) async fn next(&mut self) -> Gathered {
        self.batches.recv().await.unwrap_or_else(|| {
            Err(ProviderError::new(
                FailureKind::Internal,
                "reading a page broke off",
                "This is a defect of ours: report it with the job's id.",
            ))
        })
    }
}

/// Ends when the run ends, or when nobody takes its batches any more.
async fn gather(
    provider: Arc<dyn Provider>,
    session: Session,
    mut pull: Pull,
    to_writer: mpsc::Sender<Gathered>,
) {
    let mut batch = Batch::new();
    loop {
        let Ok(answer) = page(&*provider, &session, &pull, &mut batch, &to_writer).await else {
            return;
        };
        match answer {
            Ok(page) => {
                pull.position.clone_from(&page.next);
                batch.add(page);
            }
            Err(error) => {
                let whole = batch.is_empty() || to_writer.send(Ok(batch)).await.is_ok();
                if whole && to_writer.send(Err(error)).await.is_err() {
                    tracing::debug!("the body ended before it could hear of an error");
                }
                return;
            }
        }
        let last = pull.position.is_none();
        if last || batch.is_ripe(RECORDS_PER_BATCH) {
            let ripe = std::mem::replace(&mut batch, Batch::new());
            if to_writer.send(Ok(ripe)).await.is_err() || last {
                return;
            }
        }
    }
}

/// The next page. A batch that gets ripe meanwhile leaves as soon as the writer has room
/// for it: the page that is being fetched is the place where it ends.
///
/// # Errors
/// Nobody takes batches any more.
async fn page(
    provider: &dyn Provider,
    session: &Session,
    pull: &Pull,
    batch: &mut Batch,
    to_writer: &mpsc::Sender<Gathered>,
) -> Result<Result<Page, ProviderError>, SendError<()>> {
    let mut answer = provider.pull(session, pull);
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(answer),
            room = room_at(batch.ripe_at(), to_writer), if !batch.is_empty() => {
                room?.send(Ok(std::mem::replace(batch, Batch::new())));
            }
        }
    }
}

/// Room for a batch, from this moment on.
async fn room_at(
    ripe: Instant,
    to_writer: &mpsc::Sender<Gathered>,
) -> Result<Permit<'_, Gathered>, SendError<()>> {
    sleep_until(ripe).await;
    to_writer.reserve().await
}
