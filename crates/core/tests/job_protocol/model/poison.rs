//! Poisons among healthy jobs, played at random: processes claim, make room and die as
//! workers do. Whatever the order, a poison takes three processes with it and is set aside,
//! and no healthy job is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use patchbay_core::{
    ids::{JobId, OrgId, ProcessId},
    job::{JobState, Lease, Queue, Settle},
};

use super::run::Checked;
use crate::stage::{Stage, in_lane, lease, noop, retry_after, snooze, succeed};

const PROCESSES: usize = 4;
const SLOTS: usize = 5;
/// Far more than any play has needed.
const ROUNDS: usize = 3_000;

/// How many jobs are poison, how many healthy, and the chances drawn in turn.
#[derive(Debug, Clone)]
pub(super) struct Chances {
    poisons: usize,
    healthy: usize,
    drawn: Vec<u8>,
}

pub(super) fn chances() -> impl Strategy<Value = Chances> {
    let drawn = prop::collection::vec(any::<u8>(), 50..300);
    (1..13_usize, 0..25_usize, drawn).prop_map(|(poisons, healthy, drawn)| Chances {
        poisons,
        healthy,
        drawn,
    })
}

struct Process {
    id: ProcessId,
    runs: Vec<Lease>,
    room: Option<JobId>,
}

struct Play {
    stage: Stage,
    poisons: Vec<JobId>,
    healthy: Vec<JobId>,
    processes: Vec<Process>,
    /// How many processes died that held it.
    deaths: BTreeMap<JobId, usize>,
    drawn: Vec<u8>,
    next: usize,
}

pub(super) async fn run(chances: Chances, on_postgres: bool) -> Checked {
    let stage = if on_postgres {
        Stage::postgres().await
    } else {
        Stage::sqlite().await
    };
    let stage = stage.stop_the_clock().await;
    let orgs = [stage.org().await, stage.org().await];
    let mut play = Play {
        stage,
        poisons: vec![],
        healthy: vec![],
        processes: vec![],
        deaths: BTreeMap::new(),
        drawn: chances.drawn,
        next: 0,
    };
    while play.poisons.len() + play.healthy.len() < chances.poisons + chances.healthy {
        let wants_poison = play.one_in(2) && play.poisons.len() < chances.poisons;
        let org = orgs[usize::from(play.one_in(2))];
        let job = if play.one_in(4) {
            in_lane(org, "one")
        } else {
            noop(org)
        };
        let id = play.stage.add(job).await.id;
        if wants_poison || play.healthy.len() == chances.healthy {
            play.poisons.push(id);
        } else {
            play.healthy.push(id);
        }
    }
    for _ in 0..PROCESSES {
        play.start().await;
    }
    for _ in 0..ROUNDS {
        if play.round().await {
            return play.judge().await;
        }
    }
    Err("it never came to rest".into())
}

impl Play {
    fn one_in(&mut self, many: u8) -> bool {
        self.next += 1;
        let drawn = self.drawn[self.next % self.drawn.len()];
        // Not the same again once all have been drawn.
        let lap = (self.next / self.drawn.len()) as u8;
        drawn
            .wrapping_add(lap.wrapping_mul(101))
            .is_multiple_of(many)
    }

    async fn start(&mut self) {
        let id = self.stage.worker().await;
        self.processes.push(Process {
            id,
            runs: vec![],
            room: None,
        });
    }

    /// True once all jobs have ended.
    async fn round(&mut self) -> bool {
        let mut dead = 0;
        for mut process in std::mem::take(&mut self.processes) {
            if self.act(&mut process).await {
                self.processes.push(process);
            } else {
                dead += 1;
            }
        }
        if dead > 0 {
            for _ in 0..2 {
                self.stage.seconds(3).await;
                for process in &self.processes {
                    let renewal = self.stage.jobs().renew(process.id, &process.runs);
                    assert!(renewal.await.unwrap().alive);
                }
            }
            let scheduler = self.stage.worker().await;
            self.stage.jobs().rescue(scheduler).await.unwrap();
        }
        for _ in 0..dead {
            self.start().await;
        }
        for id in self.poisons.iter().chain(&self.healthy) {
            if !self.stage.state(*id).await.is_end() {
                return false;
            }
        }
        true
    }

    /// False: it died.
    async fn act(&mut self, process: &mut Process) -> bool {
        let me = process.id;
        if process.room.is_none() && self.one_in(3) {
            process.room = self
                .stage
                .jobs()
                .make_room(me, &[Queue::Sync])
                .await
                .unwrap();
        }
        let claimed = match process.room {
            Some(_) if !process.runs.is_empty() => vec![],
            Some(_) => {
                let claimed = self
                    .stage
                    .jobs()
                    .claim_alone(me, &[Queue::Sync])
                    .await
                    .unwrap();
                if claimed.is_none() {
                    process.room = None;
                    self.stage.jobs().leave_room(me).await.unwrap();
                }
                claimed.into_iter().collect()
            }
            None if process.runs.len() < SLOTS => {
                let free = SLOTS - process.runs.len();
                let claim =
                    (self.stage.jobs()).claim_due(me, Queue::Sync, free, OrgId::DEPLOYMENT, &[]);
                claim.await.unwrap()
            }
            None => vec![],
        };
        process.runs.extend(claimed.iter().map(lease));
        for run in process.runs.clone() {
            if !self.one_in(3) {
                continue;
            }
            let is_poison = self.poisons.contains(&run.job);
            let end = match (is_poison, self.one_in(4)) {
                // Asked to stop before it does harm.
                (true, true) => Settle::Release,
                (true, false) => {
                    for held in &process.runs {
                        *self.deaths.entry(held.job).or_default() += 1;
                    }
                    return false;
                }
                (false, true) if self.one_in(2) => Settle::Release,
                (false, true) if self.one_in(2) => snooze(0),
                (false, true) => retry_after(0),
                (false, false) => succeed(),
            };
            self.stage.settle(run, end).await.unwrap();
            process.runs.retain(|other| *other != run);
        }
        if process.room.is_some() && process.runs.is_empty() {
            process.room = None;
            self.stage.jobs().leave_room(me).await.unwrap();
        }
        true
    }

    async fn judge(&self) -> Checked {
        for id in &self.poisons {
            let row = self.stage.row(*id).await;
            let deaths = self.deaths.get(id).copied().unwrap_or_default();
            if (row.state, deaths) != (JobState::Quarantined, 3) {
                return Err(format!(
                    "poison {id} is {:?} after {deaths} deaths",
                    row.state
                ));
            }
        }
        for id in &self.healthy {
            let state = self.stage.state(*id).await;
            if state != JobState::Succeeded {
                return Err(format!("healthy {id} is {state:?}"));
            }
        }
        Ok(())
    }
}
