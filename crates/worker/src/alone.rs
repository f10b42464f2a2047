//! Room for a job that is to run alone: two processes have died under it, and only a third
//! that runs nothing else can tell whether it was the job (docs/adr/0010).
//!
//! Now and then each process looks whether such a job waits. One of them takes it upon itself:
//! its drivers claim nothing more, bodies that are still at work after [`PATIENCE`] give their
//! jobs back uncharged, and once none is left the job is claimed and run. It has the process
//! until it ends or commits progress. Between two of them a process does its other work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use patchbay_core::{
    entities::job::Model as Job,
    ids::ProcessId,
    job::{Lease, Queue},
    store::Store,
};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{book::Book, driver::jittered, run::StopReason};

/// How often a process looks, and how long it does its other work in between.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long bodies go on undisturbed before they make room.
const PATIENCE: Duration = Duration::from_secs(10);
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

    fn close(&self, closed: bool) {
        self.closed.send_replace(closed);
    }

    fn is_claiming(&self) -> bool {
        self.claiming.load(Ordering::SeqCst) > 0
    }
}

/// A job that was claimed alone, and by which process.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) me: ProcessId,
    pub(crate) job: Job,
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
        tokio::select! {
            () = self.look_now_and_then() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn look_now_and_then(&self) {
        let queues: Vec<Queue> = self.drivers.iter().map(|(queue, _)| *queue).collect();
        loop {
            sleep(jittered(LOOK_EVERY)).await;
            let Some(me) = *self.me.borrow() else {
                continue;
            };
            match self.store.jobs().make_room(me, &queues).await {
                Ok(Some(job)) => {
                    tracing::info!(%job, "room is made for a job that is to run alone");
                    self.room.close(true);
                    self.run_alone(me, &queues).await;
                    self.give_back(me).await;
                    self.room.close(false);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "no look for jobs that are to run alone");
                }
            }
        }
    }

    /// Until the job has run, or none is to run here any more.
    async fn run_alone(&self, me: ProcessId, queues: &[Queue]) {
        self.until_empty(me).await;
        while self.is_still(me) {
            let claimed = self.store.jobs().claim_alone(me, queues).await;
            match claimed {
                Ok(Some(job)) => return self.run(me, job).await,
                // A claim whose answer was lost stands until the renewal frees it, and a row may
                // be locked for a moment.
                Ok(None) => match self.store.jobs().make_room(me, queues).await {
                    Ok(None) => return,
                    Ok(Some(_)) => {}
                    Err(error) => tracing::debug!(%error, "no look for the job to run alone"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a job that is to run alone could not be claimed");
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    async fn until_empty(&self, me: ProcessId) {
        let patient_until = Instant::now() + PATIENCE;
        while self.is_still(me) && (self.room.is_claiming() || !self.book.is_empty()) {
            sleep(POLL).await;
            if Instant::now() >= patient_until {
                for run in self.book.all_running() {
                    run.stop_for(StopReason::MakingRoom);
                }
            }
        }
    }

    async fn run(&self, me: ProcessId, job: Job) {
        let lease = Lease {
            job: job.id,
            epoch: job.lease_epoch,
        };
        let driver = self.drivers.iter().find(|(queue, _)| *queue == job.queue);
        let Some((_, driver)) = driver else { return };
        // Counted as a claim until the driver has it in the book.
        if driver.send(Given { me, job }).is_err() {
            // The driver has left: the process stops, and its end releases the job.
            return;
        }
        let mut seen = false;
        let patient_until = Instant::now() + PATIENCE;
        loop {
            sleep(POLL).await;
            match self.book.run_of(lease) {
                Some(run) if run.has_progressed() => return,
                Some(_) => seen = true,
                None if seen || Instant::now() >= patient_until => return,
                None => {}
            }
        }
    }

    async fn give_back(&self, me: ProcessId) {
        while self.is_still(me) {
            match self.store.jobs().leave_room(me).await {
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
