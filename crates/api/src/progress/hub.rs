//! The hub: the one reader behind all progress streams and waits of a process.
//!
//! What is watched is read again when a signal says so (at most ten times a
//! second for a job), and by the clock: every 5 s while the carrier of signals
//! answers, every second while it does not. All due jobs are read in one query.
//! It writes nothing.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use patchbay_core::{
    hints::{Hints, Signal},
    ids::{JobId, OrgId},
    store::{Store, StoreError, job_reads::JobPicture},
};
use patchbay_providers::Registry;
use tokio::{
    sync::{Notify, broadcast::error::RecvError, watch},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{JobFrame, org_room::OrgRoom, refresh::Refresh};

/// Jobs of an org that are read one by one within a throttle.
const NAMED_JOBS: usize = 200;
/// How often the clock looks; also how often the carrier is asked whether it answers.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two reads of everything while the carrier answers.
const TICKS_WITH_CARRIER: u32 = 5;
/// A carrier that has not answered by then counts as away.
const PING_PATIENCE: Duration = Duration::from_millis(500);
/// After a failed read.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(1);

/// Follows a job. Holds only the latest picture.
pub type JobWatch = watch::Receiver<Arc<JobFrame>>;

/// The hub of a process. Cheap to clone; its reader ends with its last clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    _ends_the_reader: Arc<DropGuard>,
}

struct Shared {
    providers: Arc<Registry>,
    watched: Mutex<Watched>,
    wake: Notify,
}

#[derive(Default)]
struct Watched {
    jobs: HashMap<JobId, Job>,
    orgs: HashMap<OrgId, Org>,
    /// Those with a `due`, so that ten thousand quiet jobs cost nothing.
    due_jobs: HashSet<JobId>,
    due_orgs: HashSet<OrgId>,
    /// Not later than the earliest `due`.
    next: Option<Instant>,
}

struct Job {
    shown: watch::Sender<Arc<JobFrame>>,
    refresh: Refresh,
}

struct Org {
    room: Arc<OrgRoom>,
    refresh: Refresh,
    /// Jobs that a signal named.
    jobs: HashSet<JobId>,
    /// Read everything of the org, not only the jobs named.
    whole: bool,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = self.shared.lock();
        write!(
            f,
            "Hub({} jobs, {} orgs)",
            watched.jobs.len(),
            watched.orgs.len()
        )
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().expect("no holder of this lock panics")
    }
}

impl Hub {
    /// Starts the reader.
    pub fn start(
        store: Store,
        hints: Arc<dyn Hints>,
        providers: Arc<Registry>,
        shutdown: &CancellationToken,
    ) -> Self {
        let stop = shutdown.child_token();
        let shared = Arc::new(Shared {
            providers,
            watched: Mutex::default(),
            wake: Notify::new(),
        });
        let reader = Reader {
            store,
            hints,
            shared: Arc::clone(&shared),
        };
        let ends_the_reader = Arc::new(stop.clone().drop_guard());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = reader.run() => {}
            }
        });
        Self {
            shared,
            _ends_the_reader: ends_the_reader,
        }
    }

    /// Follows a job, beginning with a picture that the caller has just read (and may see).
    pub fn watch_job(&self, picture: JobPicture) -> JobWatch {
        let id = picture.id;
        let frame = Arc::new(JobFrame::of(&self.shared.providers, picture));
        let mut watched = self.shared.lock();
        let job = watched.jobs.entry(id).or_insert_with(|| Job {
            shown: watch::Sender::new(Arc::clone(&frame)),
            refresh: Refresh::new(),
        });
        show(&job.shown, frame);
        let follower = job.shown.subscribe();
        // What was committed between the caller's read and this line.
        watched.mark_job(id, Instant::now());
        drop(watched);
        self.shared.wake.notify_one();
        follower
    }

    /// Follows everything active in an org.
    pub fn watch_org(&self, org: OrgId) -> Arc<OrgRoom> {
        let mut watched = self.shared.lock();
        let entry = watched.orgs.entry(org).or_insert_with(|| Org {
            room: Arc::new(OrgRoom::default()),
            refresh: Refresh::new(),
            jobs: HashSet::new(),
            whole: true,
        });
        let room = Arc::clone(&entry.room);
        watched.mark_org(org, Instant::now());
        drop(watched);
        self.shared.wake.notify_one();
        room
    }
}

/// Puts a picture up if it says something new.
fn show(shown: &watch::Sender<Arc<JobFrame>>, frame: Arc<JobFrame>) {
    shown.send_if_modified(|present| {
        let news = frame.replaces(present);
        if news {
            *present = frame;
        }
        news
    });
}

struct Reader {
    store: Store,
    hints: Arc<dyn Hints>,
    shared: Arc<Shared>,
}

/// What is to be read now.
#[derive(Default)]
struct Batch {
    jobs: HashSet<JobId>,
    orgs_whole: Vec<OrgId>,
    orgs_jobs: HashMap<JobId, OrgId>,
}

impl Reader {
    async fn run(self) {
        let mut signals = self.hints.signals();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0;
        let mut carrier_open = true;
        loop {
            let next = self.shared.lock().next;
            tokio::select! {
                signal = signals.recv(), if carrier_open => match signal {
                    Ok(signal) => {
                        let mut watched = self.shared.lock();
                        watched.mark(signal);
                        // Those that came with it, without another turn of the loop.
                        while let Ok(signal) = signals.try_recv() {
                            watched.mark(signal);
                        }
                    }
                    Err(RecvError::Lagged(_)) => self.shared.lock().mark_all(),
                    Err(RecvError::Closed) => carrier_open = false,
                },
                () = self.shared.wake.notified() => {}
                _ = tick.tick() => {
                    ticks += 1;
                    self.shared.lock().forget_unwatched();
                    if ticks % TICKS_WITH_CARRIER == 0 || !carrier_open || self.carrier_is_away().await {
                        self.shared.lock().mark_all();
                    }
                }
                () = sleep_until(next) => {
                    let batch = self.shared.lock().take_due(Instant::now());
                    if let Err(error) = self.read(&batch).await {
                        tracing::warn!(%error, "progress cannot be read; the streams wait");
                        tokio::time::sleep(PAUSE_AFTER_FAULT).await;
                        self.shared.lock().mark_all();
                    }
                }
            }
        }
    }

    async fn carrier_is_away(&self) -> bool {
        !matches!(
            tokio::time::timeout(PING_PATIENCE, self.hints.ping()).await,
            Ok(Ok(()))
        )
    }

    async fn read(&self, batch: &Batch) -> Result<(), StoreError> {
        for &org in &batch.orgs_whole {
            let room = self
                .shared
                .lock()
                .orgs
                .get(&org)
                .map(|entry| Arc::clone(&entry.room));
            if let Some(room) = room {
                room.read_whole(&self.store, &self.shared.providers, org)
                    .await?;
            }
        }
        let ids: Vec<JobId> = batch
            .jobs
            .iter()
            .chain(batch.orgs_jobs.keys())
            .copied()
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        for picture in self.store.job_pictures(&ids).await? {
            let id = picture.id;
            let frame = Arc::new(JobFrame::of(&self.shared.providers, picture));
            let watched = self.shared.lock();
            if let Some(room) = batch
                .orgs_jobs
                .get(&id)
                .and_then(|org| watched.orgs.get(org))
            {
                room.room.show_job(&frame);
            }
            if let Some(job) = watched.jobs.get(&id) {
                show(&job.shown, frame);
            }
        }
        Ok(())
    }
}

async fn sleep_until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

impl Watched {
    fn mark_job(&mut self, id: JobId, now: Instant) {
        if let Some(job) = self.jobs.get_mut(&id) {
            let due = job.refresh.mark(now);
            self.due_jobs.insert(id);
            self.next = Some(self.next.map_or(due, |next| next.min(due)));
        }
    }

    fn mark_org(&mut self, id: OrgId, now: Instant) {
        if let Some(org) = self.orgs.get_mut(&id) {
            org.whole = true;
            let due = org.refresh.mark(now);
            self.due_orgs.insert(id);
            self.next = Some(self.next.map_or(due, |next| next.min(due)));
        }
    }

    fn mark_job_of_org(&mut self, id: OrgId, job: JobId, now: Instant) {
        if let Some(org) = self.orgs.get_mut(&id) {
            if org.jobs.len() < NAMED_JOBS {
                org.jobs.insert(job);
            } else {
                // A flood: reading what is active costs less than reading every one of it.
                org.whole = true;
            }
            let due = org.refresh.mark(now);
            self.due_orgs.insert(id);
            self.next = Some(self.next.map_or(due, |next| next.min(due)));
        }
    }

    fn mark(&mut self, signal: Signal) {
        let now = Instant::now();
        match signal {
            Signal::Job { org, job } => {
                self.mark_job(job, now);
                self.mark_job_of_org(org, job, now);
            }
            Signal::Connection { org, .. } | Signal::Alert { org, .. } => self.mark_org(org, now),
        }
    }

    fn mark_all(&mut self) {
        let now = Instant::now();
        let (jobs, orgs): (Vec<_>, Vec<_>) = (
            self.jobs.keys().copied().collect(),
            self.orgs.keys().copied().collect(),
        );
        for job in jobs {
            self.mark_job(job, now);
        }
        for org in orgs {
            self.mark_org(org, now);
        }
    }

    fn forget_unwatched(&mut self) {
        self.jobs.retain(|_, job| job.shown.receiver_count() > 0);
        self.orgs.retain(|_, org| Arc::strong_count(&org.room) > 1);
    }

    fn take_due(&mut self, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let (jobs, orgs) = (&mut self.jobs, &mut self.orgs);
        self.due_jobs.retain(|id| {
            let Some(job) = jobs.get_mut(id) else {
                return false;
            };
            let due = job.refresh.take(now);
            if due {
                batch.jobs.insert(*id);
            }
            !due
        });
        self.due_orgs.retain(|id| {
            let Some(org) = orgs.get_mut(id) else {
                return false;
            };
            let due = org.refresh.take(now);
            if due {
                if std::mem::take(&mut org.whole) {
                    batch.orgs_whole.push(*id);
                }
                batch
                    .orgs_jobs
                    .extend(org.jobs.drain().map(|job| (job, *id)));
            }
            !due
        });
        let waiting_jobs = self
            .due_jobs
            .iter()
            .filter_map(|id| self.jobs[id].refresh.due);
        let waiting_orgs = self
            .due_orgs
            .iter()
            .filter_map(|id| self.orgs[id].refresh.due);
        self.next = waiting_jobs.chain(waiting_orgs).min();
        batch
    }
}
