//! Does each step on the database and on the model, and compares what both say.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use patchbay_core::{
    connection::ConnectionStatus,
    entities::job,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{Enqueued, JobState, Lease, NewJob},
};
use sea_orm::EntityTrait;

use super::{
    Step,
    table::{Row, TIMEOUT, Table, Told},
};
use crate::stage::{Stage, lease, noop};

/// A lease that somebody believes to hold, and the credential it works with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Belief {
    pub(super) process: ProcessId,
    pub(super) lease: Lease,
    pub(super) credential: i64,
}

pub(super) struct Both {
    pub(super) stage: Stage,
    pub(super) table: Table,
    pub(super) orgs: Vec<OrgId>,
    pub(super) connection: ConnectionId,
    pub(super) processes: Vec<ProcessId>,
    pub(super) beliefs: Vec<Belief>,
}

/// Says which step went wrong and how.
pub(super) type Checked = Result<(), String>;

macro_rules! same {
    ($database:expr, $model:expr, $what:expr) => {
        let (database, model) = (&$database, &$model);
        if database != model {
            return Err(format!(
                "{}: the database says {database:?}, the model {model:?}",
                $what
            ));
        }
    };
}
pub(super) use same;

pub async fn run(steps: &[Step], orgs: usize, on_postgres: bool) -> Checked {
    let stage = if on_postgres {
        Stage::postgres().await
    } else {
        Stage::sqlite().await
    };
    let stage = stage.stop_the_clock().await;
    let orgs = {
        let mut all = Vec::new();
        for _ in 0..orgs {
            all.push(stage.org().await);
        }
        all.sort_unstable();
        all
    };
    let connection = stage.connection(orgs[0]).await;
    let table = Table {
        credential: 1,
        ..Table::default()
    };
    let mut both = Both {
        stage,
        table,
        orgs,
        connection,
        processes: vec![],
        beliefs: vec![],
    };
    for _ in 0..2 {
        both.new_process().await;
    }
    for (number, step) in steps.iter().enumerate() {
        both.step(step)
            .await
            .map_err(|why| format!("step {number}, {step:?}: {why}"))?;
        both.compare_tables()
            .await
            .map_err(|why| format!("after step {number}, {step:?}: {why}"))?;
    }
    Ok(())
}

pub(super) fn choose<T: Copy>(from: &[T], number: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(number) % from.len()])
}

impl Both {
    async fn new_process(&mut self) -> ProcessId {
        let process = self.stage.worker().await;
        self.table.register(process);
        self.processes.push(process);
        process
    }

    pub(super) fn process(&self, number: u8) -> ProcessId {
        choose(&self.processes, number).unwrap()
    }

    pub(super) fn job(&self, number: u8) -> Option<JobId> {
        let ids: Vec<JobId> = self.table.jobs.keys().copied().collect();
        choose(&ids, number)
    }

    /// A job for a hint.
    fn hint(&self, number: u8) -> Option<JobId> {
        let waiting = self
            .table
            .jobs
            .iter()
            .filter(|(_, row)| row.state == JobState::Queued);
        let waiting: Vec<JobId> = waiting.map(|(id, _)| *id).collect();
        if number.is_multiple_of(2) && !waiting.is_empty() {
            choose(&waiting, number / 2)
        } else {
            self.job(number)
        }
    }

    /// Somebody who believes to hold a lease.
    pub(super) fn belief(&self, number: u8) -> Option<Belief> {
        let right = self
            .beliefs
            .iter()
            .filter(|belief| self.table.passes(belief.lease));
        let right: Vec<Belief> = right.copied().collect();
        if !number.is_multiple_of(4) && !right.is_empty() {
            choose(&right, number)
        } else {
            choose(&self.beliefs, number)
        }
    }

    async fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::Enqueue {
                org,
                lane,
                key,
                connection,
                delay,
            } => self.enqueue(*org, *lane, *key, *connection, *delay).await,
            Step::Claim { process, hints } => self.claim(*process, hints).await,
            Step::ClaimDue {
                process,
                limit,
                after,
                skip,
            } => self.claim_due(*process, *limit, *after, *skip).await,
            Step::Alone { process } => self.alone(*process).await,
            Step::LeaveRoom { process } => self.leave_room(*process).await,
            Step::Renew { process } => self.renew(*process).await,
            Step::Checkpoint { lease } => self.checkpoint(*lease).await,
            Step::Settle { lease, end } => self.settle(*lease, end).await,
            Step::Cancel { job } => self.person(*job, 'c').await,
            Step::Retry { job } => self.person(*job, 'r').await,
            Step::Discard { job } => self.person(*job, 'd').await,
            Step::Replace => {
                self.table.credential += 1;
                self.stage
                    .credential(self.orgs[0], self.connection, self.table.credential)
                    .await;
                self.unpark().await
            }
            Step::Disable => {
                self.table.disabled = true;
                self.stage
                    .status(self.connection, ConnectionStatus::Disabled)
                    .await;
                let tx = self.stage.store.begin().await.unwrap();
                let parked = self
                    .stage
                    .jobs()
                    .park_queued(&tx, self.connection)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                same!(parked, self.table.park(), "parked");
                Ok(())
            }
            Step::Enable => {
                self.table.disabled = false;
                self.stage
                    .status(self.connection, ConnectionStatus::Active)
                    .await;
                self.unpark().await
            }
            Step::Leave { process } => {
                let process = self.process(*process);
                let released = self.stage.jobs().leave(process).await.unwrap();
                same!(released, self.table.leave(process), "released");
                self.replace_process(process).await
            }
            Step::Crash { process } => {
                let process = self.process(*process);
                self.replace_process(process).await
            }
            Step::Death { process } => {
                let process = self.process(*process);
                self.processes.retain(|other| *other != process);
                for _ in 0..2 {
                    self.wait(3).await;
                    for other in 0..self.processes.len() {
                        self.renew(u8::try_from(other).unwrap()).await?;
                    }
                }
                self.new_process().await;
                self.rescue().await
            }
            Step::Rescue => self.rescue().await,
            Step::Wait { seconds } => {
                self.wait(*seconds).await;
                Ok(())
            }
        }
    }

    async fn wait(&mut self, seconds: u8) {
        self.stage
            .advance(Duration::from_secs(u64::from(seconds)))
            .await;
        self.table.now += i64::from(seconds);
    }

    async fn enqueue(
        &mut self,
        org: u8,
        lane: Option<u8>,
        key: Option<u8>,
        connection: bool,
        delay: u8,
    ) -> Checked {
        let org = choose(&self.orgs, org).unwrap();
        let connected = connection && org == self.orgs[0];
        let lane = lane.map(|lane| format!("{org}:{lane}"));
        let key = key.map(|key| format!("{org}:{key}"));
        let job = NewJob {
            connection: connected.then_some(self.connection),
            lane: lane.clone(),
            dedupe_key: key.clone(),
            delay: Duration::from_secs(u64::from(delay)),
            timeout: Duration::from_secs(TIMEOUT.unsigned_abs()),
            ..noop(org)
        };
        let (told, id) = match self.stage.enqueue(vec![job]).await.remove(0) {
            Enqueued::New(job) => (Told::New, job.id),
            Enqueued::Waiting(job) => (Told::Waiting(job.id), job.id),
            Enqueued::Again(job) => (Told::Again(job.id), job.id),
        };
        same!(told, self.table.ask(key.as_deref()), "answer");
        if told == Told::New {
            let run_at = self.table.now + i64::from(delay);
            self.table
                .jobs
                .insert(id, Row::new(org, lane, key, connected, run_at));
        }
        Ok(())
    }

    fn believe(&mut self, process: ProcessId, claimed: &[job::Model]) {
        for job in claimed {
            self.table.start(process, job.id);
        }
        self.hold(process, claimed);
    }

    /// Of jobs that the model has started.
    pub(super) fn hold(&mut self, process: ProcessId, claimed: &[job::Model]) {
        for job in claimed {
            self.beliefs.push(Belief {
                process,
                lease: lease(job),
                credential: self.table.credential,
            });
        }
    }

    async fn claim(&mut self, process: u8, hints: &[u8]) -> Checked {
        let process = self.process(process);
        let hints: Vec<JobId> = hints.iter().filter_map(|hint| self.hint(*hint)).collect();
        let claimed = self.stage.claim(process, &hints).await;
        let expected = self.table.claimable(process, &hints.into_iter().collect());
        same!(
            claimed.iter().map(|job| job.id).collect::<BTreeSet<_>>(),
            expected,
            "claimed"
        );
        same!(claimed.len(), expected.len(), "claimed, none twice");
        self.believe(process, &claimed);
        Ok(())
    }

    async fn renew(&mut self, process: u8) -> Checked {
        let process = self.process(process);
        let held: Vec<Lease> = self
            .beliefs
            .iter()
            .filter(|belief| belief.process == process)
            .map(|belief| belief.lease)
            .collect();
        let mut renewal = self.stage.jobs().renew(process, &held).await.unwrap();
        same!(renewal.alive, self.table.renew(process), "alive");
        let mut lost: Vec<Lease> = held
            .into_iter()
            .filter(|lease| !self.table.passes(*lease))
            .collect();
        let order = |lease: &Lease| (lease.job, lease.epoch);
        lost.sort_by_key(order);
        renewal.lost.sort_by_key(order);
        same!(renewal.lost, lost, "lost leases");
        Ok(())
    }

    async fn replace_process(&mut self, gone: ProcessId) -> Checked {
        self.processes.retain(|process| *process != gone);
        self.new_process().await;
        Ok(())
    }

    async fn rescue(&mut self) -> Checked {
        let scheduler = self.stage.worker().await;
        self.table.register(scheduler);
        let mut rescued = self.stage.jobs().rescue(scheduler).await.unwrap();
        rescued.requeued.sort_unstable();
        rescued.quarantined.sort_unstable();
        let (requeued, quarantined, successors) = self.table.rescue(scheduler);
        same!(rescued.requeued, requeued, "requeued");
        same!(rescued.quarantined, quarantined, "quarantined");
        // Their ids are made by the database: found by their keys.
        for successor in successors {
            let born: Vec<JobId> = self
                .rows()
                .await
                .into_iter()
                .filter(|(id, row)| !self.table.jobs.contains_key(id) && row.key == successor.key)
                .map(|(id, _)| id)
                .collect();
            same!(born.len(), 1, "successors of a quarantined job");
            self.table.jobs.insert(born[0], successor);
        }
        Ok(())
    }

    async fn rows(&self) -> BTreeMap<JobId, Row> {
        let jobs = job::Entity::find()
            .all(self.stage.store.db())
            .await
            .unwrap();
        jobs.iter().map(|job| (job.id, Row::of(job))).collect()
    }

    async fn compare_tables(&self) -> Checked {
        let database = self.rows().await;
        same!(
            database.keys().collect::<Vec<_>>(),
            self.table.jobs.keys().collect::<Vec<_>>(),
            "jobs"
        );
        for (id, row) in &database {
            same!(*row, self.table.jobs[id], id);
        }
        Ok(())
    }
}
