//! Room for a job that is to run alone: two processes have died under it, and only a third
//! that runs nothing else can tell whether it was the job (docs/adr/0011).
//!
//! Now and then each process looks whether such a job waits. One of them takes it upon itself:
//! its drivers claim nothing more, bodies that are still at work after [`PATIENCE`] give their
//! jobs back uncharged, and once none is left the job is claimed and run. It has the process
//! until it ends or commits progress. Between two of them a process does its other work, and
//! one that does not become empty leaves the job to another.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use patchbay_core::{
    entities::job::Model as Job,
    ids::ProcessId,
    job::{JobKind, Lease, Queue},
    store::Store,
};
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    book::Book,
    driver::{answered, jittered},
    run::StopReason,
};

/// How often a process looks, and how long it does its other work in between.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A process that has had no other work for so long after such a job looks for the next one.
const IDLE_FOR: Duration = Duration::from_millis(500);
/// How long bodies go on undisturbed before they make room.
const PATIENCE: Duration = Duration::from_secs(10);
/// A process that has not claimed the job by then gives the room back: another may be empty
/// sooner than one whose bodies do not heed a stop.
const GIVES_UP_AFTER: Duration = Duration::from_secs(30);
/// Until it looks again after that. Doubled each time, so that such bodies hold up the
/// process's other work less and less.
const REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// How soon it is seen that the last body has ended.
const POLL: Duration = Duration::from_millis(50);
/// A statement that was refused or not answered is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Whether the process's drivers may claim, and how many claims are under way.
#[derive(Debug)]
pub(crate) struct Room {
    closed: watch::Sender<bool>,
    claiming: AtomicUsize,
}

/// A claim under way, until its jobs stand in the book.
#[derive(Debug)]
pub(crate) struct Claiming(Arc<Room>);

impl Drop for Claiming {
    fn drop(&mut self) {
        self.0.claiming.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Room {
    pub(crate) fn new() -> Self {
        Self {
            closed: watch::Sender::new(false),
            claiming: AtomicUsize::new(0),
        }
    }

    /// Announced before it is asked: whoever closes the room afterwards sees this claim.
    pub(crate) fn claim(room: &Arc<Self>) -> Option<Claiming> {
        room.claiming.fetch_add(1, Ordering::SeqCst);
        let claiming = Claiming(Arc::clone(room));
        (!room.is_closed()).then_some(claiming)
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Changes when it is closed and when it is open again.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    fn close(&self) -> Closed<'_> {
        self.closed.send_replace(true);
        Closed(self)
    }

    fn is_claiming(&self) -> bool {
        self.claiming.load(Ordering::SeqCst) > 0
    }
}

/// The room is closed until this is dropped, also by a panic.
#[derive(Debug)]
struct Closed<'a>(&'a Room);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.closed.send_replace(false);
    }
}

/// A job that was claimed alone, and by which process.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) me: ProcessId,
    pub(crate) job: Job,
    /// Told once the job stands in the book.
    pub(crate) begun: oneshot::Sender<()>,
}

/// Looks for such jobs on behalf of all queues of the process.
#[derive(Debug)]
pub(crate) struct Warden {
    pub(crate) store: Store,
    pub(crate) me: watch::Receiver<Option<ProcessId>>,
    pub(crate) book: Arc<Book>,
    pub(crate) room: Arc<Room>,
    pub(crate) drivers: Vec<(Queue, UnboundedSender<Given>)>,
    pub(crate) stop: CancellationToken,
}

impl Warden {
    /// Until the process stops; its end gives the room back.
    pub(crate) async fn keep(self) {
        let stop = self.stop.clone();
        let looks = async {
            // The process's row may still name a job: the next look goes on with it or clears it.
            while AssertUnwindSafe(self.look_now_and_then())
                .catch_unwind()
                .await
                .is_err()
            {
                tracing::error!("making room panicked; it begins anew");
            }
        };
        tokio::select! {
            () = looks => {}
            () = stop.cancelled() => {}
        }
    }

    async fn look_now_and_then(&self) {
        let queues: Vec<Queue> = self.drivers.iter().map(|(queue, _)| *queue).collect();
        let mut rest = REST;
        let mut has_run = false;
        loop {
            let pause = sleep(jittered(LOOK_EVERY));
            tokio::select! {
                () = pause => {}
                () = self.until_idle(), if has_run => {}
            }
            has_run = false;
            let Some(me) = *self.me.borrow() else {
                continue;
            };
            match answered(self.store.jobs().make_room(me, &queues)).await {
                Ok(Some(job)) => {
                    tracing::info!(%job, "room is made for a job that is to run alone");
                    let closed = self.room.close();
                    let gave_up = self.run_alone(me, &queues).await.is_err();
                    self.give_back(me).await;
                    drop(closed);
                    if gave_up {
                        tracing::warn!(%job, "no room could be made for it here; it is left to another process for a while");
                        sleep(jittered(rest)).await;
                        rest = LONGEST_REST.min(2 * rest);
                    } else {
                        rest = REST;
                        has_run = true;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "no look for jobs that are to run alone");
                }
            }
        }
    }

    /// Until the process has been without work for a while.
    async fn until_idle(&self) {
        let mut since = Instant::now();
        while since.elapsed() < IDLE_FOR {
            sleep(POLL).await;
            if self.room.is_claiming() || !self.book.is_empty() {
                since = Instant::now();
            }
        }
    }

    /// Until the job has run, or none is to run here any more.
    async fn run_alone(&self, me: ProcessId, queues: &[Queue]) -> Result<(), NoRoom> {
        let began = Instant::now();
        let give_up_at = began + GIVES_UP_AFTER;
        self.until_empty(me, began + PATIENCE, give_up_at).await?;
        while self.is_still(me) {
            let claimed = answered(self.store.jobs().claim_alone(me, queues)).await;
            match claimed {
                Ok(Some(job)) => {
                    self.run(me, job, queues).await;
                    return Ok(());
                }
                // A claim whose answer was lost stands until the renewal frees it, and a row may
                // be locked for a moment.
                Ok(None) => match answered(self.store.jobs().make_room(me, queues)).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(_)) => {}
                    Err(error) => tracing::debug!(%error, "no look for the job to run alone"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a job that is to run alone could not be claimed");
                }
            }
            if Instant::now() >= give_up_at {
                return Err(NoRoom);
            }
            sleep(AGAIN_AFTER).await;
        }
        Ok(())
    }

    async fn until_empty(
        &self,
        me: ProcessId,
        patient_until: Instant,
        give_up_at: Instant,
    ) -> Result<(), NoRoom> {
        while self.is_still(me) && (self.room.is_claiming() || !self.book.is_empty()) {
            let now = Instant::now();
            if now >= give_up_at {
                return Err(NoRoom);
            }
            if now >= patient_until {
                let running = self.book.all_running().into_iter();
                for run in running.filter(|run| can_be_given_back(run.job.kind)) {
                    run.stop_for(StopReason::MakingRoom);
                }
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn run(&self, me: ProcessId, job: Job, queues: &[Queue]) {
        let lease = Lease {
            job: job.id,
            epoch: job.lease_epoch,
        };
        let driver = self.drivers.iter().find(|(queue, _)| *queue == job.queue);
        let Some((_, driver)) = driver else { return };
        let (begun, has_begun) = oneshot::channel();
        if driver.send(Given { me, job, begun }).is_err() || has_begun.await.is_err() {
            // The driver has left: the process stops, and its end releases the job.
            return;
        }
        while let Some(run) = self.book.run_of(lease) {
            if run.has_progressed() && !self.is_alone(me, lease, queues).await {
                return;
            }
            sleep(POLL).await;
        }
    }

    /// Whether the job still is to be alone here: its progress may not be committed yet, or
    /// never be.
    async fn is_alone(&self, me: ProcessId, lease: Lease, queues: &[Queue]) -> bool {
        let alone = match answered(self.store.jobs().make_room(me, queues)).await {
            Ok(job) => job == Some(lease.job),
            Err(error) => {
                tracing::debug!(%error, "it is not known yet whether a job needs its room any more");
                true
            }
        };
        if alone {
            sleep(AGAIN_AFTER).await;
        }
        alone
    }

    async fn give_back(&self, me: ProcessId) {
        while self.is_still(me) {
            match answered(self.store.jobs().leave_room(me)).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the room is not given back yet"),
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Declared dead, it goes on under a new id that makes room for nothing.
    fn is_still(&self, me: ProcessId) -> bool {
        self.me.borrow().is_none_or(|now| now == me)
    }
}

/// Bodies were still at work, or the job could not be claimed.
#[derive(Debug, PartialEq, Eq)]
struct NoRoom;

/// Whether a body that is asked to stop gives its job back as it was. The others lose
/// something at the provider: a code that was used up, the only token of a grant that is to
/// be revoked. They end within a minute or two.
fn can_be_given_back(kind: JobKind) -> bool {
    match kind {
        JobKind::ConsentExchange | JobKind::CredentialRevoke => false,
        JobKind::Sync
        | JobKind::Action
        | JobKind::ConnectionTest
        | JobKind::HealthCheck
        | JobKind::HealthBatch
        | JobKind::CredentialRefresh
        | JobKind::OauthClientSet
        | JobKind::AlertWebhookSet
        | JobKind::AlertDelivery
        | JobKind::Noop => true,
    }
}

#[cfg(test)]
mod tests {
    use patchbay_core::clock::SystemClock;
    use serde_json::json;

    use super::*;
    use crate::run::JobRun;

    #[tokio::test]
    async fn bodies_that_do_not_end_are_asked_to_stop_and_then_left_alone() {
        let (mut exchange, _) = JobRun::on_memory(json!({})).await;
        exchange.job.kind = JobKind::ConsentExchange;
        let (deaf, ctx) = JobRun::on_memory(json!({})).await;
        let (exchange, deaf) = (Arc::new(exchange), Arc::new(deaf));
        let me = ProcessId::new(&SystemClock);
        let warden = Warden {
            store: ctx.store,
            me: watch::Sender::new(Some(me)).subscribe(),
            book: Arc::default(),
            room: Arc::new(Room::new()),
            drivers: vec![],
            stop: CancellationToken::new(),
        };
        warden.book.add(&exchange);
        warden.book.add(&deaf);
        let closed = warden.room.close();
        let (soon, later) = (Instant::now(), Instant::now() + 2 * POLL);
        let outcome = warden.until_empty(me, soon, later).await;
        assert_eq!(outcome, Err(NoRoom));
        assert_eq!(deaf.stopped(), Some(StopReason::MakingRoom));
        assert_eq!(exchange.stopped(), None, "its code would be lost");
        drop(closed);
        assert!(!warden.room.is_closed());
    }
}
