//! The model: the job table as a map, every move as a few lines.

use std::collections::{BTreeMap, BTreeSet};

use patchbay_core::{
    entities::job,
    ids::{JobId, OrgId, ProcessId},
    job::{CRASHES_TO_RUN_ALONE, JobState, Lease},
};

use super::End;
use crate::stage::START;

/// Seconds since the start.
pub type Time = i64;

pub const TIMEOUT: Time = 30;
const LEASE: Time = 6;
pub(super) const GRACE: Time = 60;

/// What a row says, in the model's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub org: OrgId,
    pub lane: Option<String>,
    pub key: Option<String>,
    pub connected: bool,
    pub state: JobState,
    pub run_at: Time,
    pub attempt: i32,
    pub crashes: i32,
    pub epoch: i64,
    pub leased_by: Option<ProcessId>,
    pub deadline: Option<Time>,
    pub again: bool,
    pub progress_no: i64,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub discarded: bool,
    pub has_result: bool,
    pub has_error: bool,
}

impl Row {
    /// What a new request or a successor looks like.
    pub fn new(
        org: OrgId,
        lane: Option<String>,
        key: Option<String>,
        connected: bool,
        run_at: Time,
    ) -> Self {
        Self {
            org,
            lane,
            key,
            connected,
            state: JobState::Queued,
            run_at,
            attempt: 0,
            crashes: 0,
            epoch: 0,
            leased_by: None,
            deadline: None,
            again: false,
            progress_no: 0,
            started_at: None,
            finished_at: None,
            discarded: false,
            has_result: false,
            has_error: false,
        }
    }

    pub(super) fn successor(&self, now: Time) -> Self {
        Self::new(
            self.org,
            self.lane.clone(),
            self.key.clone(),
            self.connected,
            now,
        )
    }

    pub(super) fn leave_running(&mut self, state: JobState) {
        self.state = state;
        self.leased_by = None;
        self.deadline = None;
    }

    /// The row of the database in the model's terms.
    pub fn of(job: &job::Model) -> Self {
        let seconds = |time: chrono::DateTime<chrono::Utc>| {
            let since = time - START;
            assert_eq!(
                since.subsec_nanos(),
                0,
                "a clock that stands still gives whole seconds"
            );
            since.num_seconds()
        };
        Self {
            org: job.org_id.unwrap(),
            lane: job.lane.clone(),
            key: job.dedupe_key.clone(),
            connected: job.connection_id.is_some(),
            state: job.state,
            run_at: seconds(job.run_at),
            attempt: job.attempt,
            crashes: job.crashes,
            epoch: job.lease_epoch,
            leased_by: job.leased_by,
            deadline: job.deadline.map(seconds),
            again: job.again,
            progress_no: job.progress_no,
            started_at: job.started_at.map(seconds),
            finished_at: job.finished_at.map(seconds),
            discarded: job.discarded_at.is_some(),
            has_result: job.result.is_some(),
            has_error: job.error.is_some(),
        }
    }
}

/// A process and until when it is alive; `None` once it has ended.
type Processes = BTreeMap<ProcessId, Option<Time>>;

/// The whole of it.
#[derive(Debug, Default)]
pub struct Table {
    pub now: Time,
    pub jobs: BTreeMap<JobId, Row>,
    pub processes: Processes,
    /// What each process makes room for or runs alone.
    pub alone_with: BTreeMap<ProcessId, JobId>,
    pub disabled: bool,
    pub credential: i64,
}

/// What a request is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    New,
    Waiting(JobId),
    Again(JobId),
}

impl Table {
    pub fn register(&mut self, process: ProcessId) {
        self.processes.insert(process, Some(self.now + LEASE));
    }

    pub fn is_alive(&self, process: ProcessId) -> bool {
        self.processes[&process].is_some_and(|until| until > self.now)
    }

    pub fn renew(&mut self, process: ProcessId) -> bool {
        let alive = self.is_alive(process);
        if alive {
            self.register(process);
        }
        alive
    }

    fn open(&self, key: &str) -> Option<JobId> {
        let open = |row: &Row| !row.state.is_end() && row.key.as_deref() == Some(key);
        let mut jobs = self
            .jobs
            .iter()
            .filter(|(_, row)| open(row))
            .map(|(id, _)| *id);
        let found = jobs.next();
        assert_eq!(jobs.next(), None, "one open job of a key");
        found
    }

    pub fn ask(&mut self, key: Option<&str>) -> Told {
        let Some(id) = key.and_then(|key| self.open(key)) else {
            return Told::New;
        };
        let row = self.jobs.get_mut(&id).unwrap();
        if row.state == JobState::Running {
            row.again = true;
            Told::Again(id)
        } else {
            Told::Waiting(id)
        }
    }

    /// Queued, due, oldest of a free lane.
    pub fn may_run(&self, id: JobId) -> bool {
        let Some(row) = self.jobs.get(&id) else {
            return false;
        };
        let lane_is_free = row.lane.as_ref().is_none_or(|lane| {
            self.jobs
                .iter()
                .filter(|(_, other)| other.lane.as_ref() == Some(lane))
                .all(|(other_id, other)| match other.state {
                    JobState::Running => false,
                    JobState::Queued => *other_id >= id,
                    _ => true,
                })
        });
        row.state == JobState::Queued && row.run_at <= self.now && lane_is_free
    }

    pub fn holds_suspect(&self, process: ProcessId) -> bool {
        self.jobs
            .values()
            .any(|row| row.leased_by == Some(process) && row.crashes > 0)
    }

    /// Alive, and making room for nothing.
    pub fn may_claim(&self, process: ProcessId) -> bool {
        self.is_alive(process) && !self.alone_with.contains_key(&process)
    }

    /// Of these jobs those that a claim takes.
    pub fn claimable(&self, process: ProcessId, ids: &BTreeSet<JobId>) -> BTreeSet<JobId> {
        if !self.may_claim(process) {
            return BTreeSet::new();
        }
        let mut suspect_taken = self.holds_suspect(process);
        let may = ids
            .iter()
            .copied()
            .filter(|id| self.may_run(*id) && self.jobs[id].crashes < CRASHES_TO_RUN_ALONE);
        may.filter(|id| self.jobs[id].crashes == 0 || !std::mem::replace(&mut suspect_taken, true))
            .collect()
    }

    pub fn start(&mut self, process: ProcessId, id: JobId) {
        let now = self.now;
        let row = self.jobs.get_mut(&id).unwrap();
        row.state = JobState::Running;
        row.epoch += 1;
        row.leased_by = Some(process);
        row.started_at = row.started_at.or(Some(now));
        row.deadline = Some(now + TIMEOUT);
    }

    pub fn passes(&self, lease: Lease) -> bool {
        self.jobs
            .get(&lease.job)
            .is_some_and(|row| row.state == JobState::Running && row.epoch == lease.epoch)
    }

    pub fn checkpoint(&mut self, lease: Lease) {
        let row = self.jobs.get_mut(&lease.job).unwrap();
        row.progress_no += 1;
        row.crashes = 0;
    }

    /// The successor's row, where there is one.
    pub fn settle(&mut self, lease: Lease, end: &End, refused: Option<i64>) -> Option<Row> {
        let (now, disabled, credential) = (self.now, self.disabled, self.credential);
        let row = self.jobs.get_mut(&lease.job).unwrap();
        if !matches!(end, End::Release) {
            row.crashes = row.crashes.min(1);
        }
        match end {
            End::Succeed => {
                row.leave_running(JobState::Succeeded);
                row.finished_at = Some(now);
                row.crashes = 0;
                (row.has_result, row.has_error) = (true, false);
            }
            End::Fail => {
                row.leave_running(JobState::Failed);
                row.finished_at = Some(now);
                row.attempt += 1;
                row.has_error = true;
            }
            End::Retry { delay } | End::Snooze { delay } => {
                row.leave_running(JobState::Queued);
                row.run_at = now + Time::from(*delay);
                row.attempt += i32::from(matches!(end, End::Retry { .. }));
                row.has_error = true;
            }
            End::Release => {
                row.leave_running(JobState::Queued);
                row.run_at = now;
            }
            End::Park { .. } => {
                let replaced = refused.is_some_and(|version| version != credential);
                let parks = row.connected && disabled && !replaced;
                row.leave_running(if parks {
                    JobState::Parked
                } else {
                    JobState::Queued
                });
                let delay = match (row.connected, parks || replaced) {
                    (true, true) => 0,
                    (true, false) => 5,
                    (false, _) => 60,
                };
                row.run_at = now + delay;
                row.has_error = true;
            }
        }
        (row.again && row.state.is_end()).then(|| row.successor(now))
    }

    pub fn cancel(&mut self, id: JobId) -> bool {
        let now = self.now;
        let row = self.jobs.get_mut(&id).unwrap();
        let may = !row.state.is_end();
        if may {
            row.leave_running(JobState::Cancelled);
            row.epoch += 1;
            row.again = false;
            row.finished_at = Some(now);
        }
        may
    }

    pub fn retry(&mut self, id: JobId) -> bool {
        let row = &self.jobs[&id];
        let dead = matches!(row.state, JobState::Failed | JobState::Quarantined);
        let may = dead
            && row
                .key
                .as_deref()
                .is_none_or(|key| self.open(key).is_none());
        if may {
            let now = self.now;
            let row = self.jobs.get_mut(&id).unwrap();
            row.state = JobState::Queued;
            row.run_at = now;
            (row.attempt, row.crashes) = (0, 0);
            (row.again, row.discarded, row.has_error) = (false, false, false);
            row.finished_at = None;
        }
        may
    }

    pub fn discard(&mut self, id: JobId) -> bool {
        let row = self.jobs.get_mut(&id).unwrap();
        let may = matches!(row.state, JobState::Failed | JobState::Quarantined) && !row.discarded;
        row.discarded |= may;
        may
    }

    fn of_connection(&mut self, state: JobState) -> impl Iterator<Item = (&JobId, &mut Row)> {
        self.jobs
            .iter_mut()
            .filter(move |(_, row)| row.connected && row.state == state)
    }

    pub fn park(&mut self) -> Vec<JobId> {
        let park = |(id, row): (&JobId, &mut Row)| {
            row.state = JobState::Parked;
            *id
        };
        self.of_connection(JobState::Queued).map(park).collect()
    }

    pub fn unpark(&mut self) -> Vec<JobId> {
        let now = self.now;
        let unpark = |(id, row): (&JobId, &mut Row)| {
            row.state = JobState::Queued;
            row.run_at = now;
            *id
        };
        self.of_connection(JobState::Parked).map(unpark).collect()
    }

    pub fn leave(&mut self, process: ProcessId) -> Vec<JobId> {
        self.end(process);
        let now = self.now;
        let release = |(id, row): (&JobId, &mut Row)| {
            row.leave_running(JobState::Queued);
            row.run_at = now;
            *id
        };
        self.jobs
            .iter_mut()
            .filter(|(_, row)| row.leased_by == Some(process))
            .map(release)
            .collect()
    }
}
