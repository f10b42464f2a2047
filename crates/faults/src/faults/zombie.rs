//! Workers stopped in place (SIGSTOP) for twice the lease, between two statements and inside
//! a transaction, then let go on: a process that comes back from the dead.

use std::time::Duration;

use anyhow::Result;

use super::Run;
use crate::{
    abroad::Place,
    checker::{self, Allowed},
    client::Drill,
    findings::Invariant,
    outcome::Outcome,
    stage::{Plan, Stage},
};

const WORKERS: usize = 18;
const AT_ONCE: usize = 13;
/// Blows of a short run with a seeded bug, and the workers to take them: whether a process that
/// comes back writes before it learns that it is dead is a race, so it is run often.
const BLOWS_FOR_A_BUG: usize = 8;
const WORKERS_FOR_A_BUG: usize = 12;
/// Twice the lease.
const STOPPED: Duration = Duration::from_secs(12);
/// A body that lost its lease may go on for this long, without a word to the database.
const GONE_WITHIN: Duration = Duration::from_secs(2);
const AGAIN_WITHIN: Duration = Duration::from_secs(8);

pub async fn run(run: Run) -> Result<Outcome> {
    let (blows, workers) = match (run.short, run.mutation) {
        (true, Some(_)) => (BLOWS_FOR_A_BUG, WORKERS_FOR_A_BUG),
        _ => (run.number(100, 2), run.number(WORKERS, 5)),
    };
    let plan = Plan {
        workers,
        slots: 1,
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let client = stage.client.clone();
    for round in 0..blows {
        let place = if round % 2 == 0 {
            Place::Effect
        } else {
            Place::Inside
        };
        let address = stage.abroad.stop_at(place, 1, STOPPED);
        // The successor must still run when the zombie wakes up: 12 s after 6 s.
        let victim = Drill::new(14, Duration::from_secs(1), Some(address)).with("inside", true);
        client.enqueue(&[victim], Duration::from_secs(20)).await?;
        let struck = round + 1;
        stage
            .until("a blow", Duration::from_secs(90), async |stage| {
                Ok(stage.abroad.strikes() >= struck
                    && (stage.abroad.strikes() - ended(stage)) < AT_ONCE)
            })
            .await?;
    }
    stage.drain(Duration::from_secs(120)).await?;
    let mut findings = checker::check(&stage, Allowed::default()).await?;
    let calls = stage.abroad.calls();
    for blow in calls.iter().filter(|call| call.struck) {
        let last = calls
            .iter()
            .rev()
            .find(|call| call.job == blow.job && call.epoch == blow.epoch);
        let gone_by = blow.at + STOPPED + GONE_WITHIN;
        if let Some(late) = last.filter(|call| call.at > gone_by) {
            findings.say(Invariant::InTime, format!("still went on: {late:?}"));
        }
        // A successor that begins and cannot write is held up all the same.
        let wrote = calls.iter().find(|call| {
            call.job == blow.job && call.epoch > blow.epoch && call.place == Place::Inside
        });
        if wrote.is_none_or(|call| call.at > blow.at + AGAIN_WITHIN + Duration::from_secs(2)) {
            findings.say(
                Invariant::InTime,
                format!("the successor was held up: {blow:?}"),
            );
        }
    }
    Ok(Outcome {
        findings,
        bound: Some(AGAIN_WITHIN),
        ..Outcome::new("worker stopped for two leases").struck(&stage)
    })
}

/// Struck jobs whose later run has come to its last step.
fn ended(stage: &Stage) -> usize {
    let calls = stage.abroad.calls();
    let ends = |blow: &&crate::abroad::Call| {
        calls
            .iter()
            .any(|call| call.job == blow.job && call.epoch > blow.epoch && call.place == Place::End)
    };
    calls.iter().filter(|call| call.struck).filter(ends).count()
}
