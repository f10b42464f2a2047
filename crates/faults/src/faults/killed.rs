//! Workers killed with SIGKILL at an exact place of a body, healthy jobs beside them. All at
//! the real lease of six seconds. A worker runs one job at a time here, so that a death is
//! charged to the job it was meant for.
//!
//! Beside them, what a rescue must leave alone: a job that outlasts a lease in a worker that
//! nobody harms, and one that is not due yet.

use std::time::Duration;

use anyhow::Result;

use super::Run;
use crate::{
    abroad::Place,
    checker::{self, Allowed},
    client::Drill,
    outcome::Outcome,
    stage::{Plan, Stage},
};

const WORKERS: usize = 18;
/// Struck and not yet running again: as many more workers are free for them.
const AT_ONCE: usize = 12;
/// A rescuer judges when it has looked on for a lease of six seconds, then four times a second.
const OUTLASTS_A_LEASE: Duration = Duration::from_secs(10);
/// So many rounds take longer than that.
const BESIDE_EVERY: usize = 25;
/// From a death to the same work running again (docs/faults.md).
const AGAIN_WITHIN: Duration = Duration::from_secs(8);

pub async fn in_the_body(run: Run) -> Result<Outcome> {
    rounds("worker killed in the body", run, run.number(300, 4), |n| {
        // At the very first thing a body does, and between two of its steps.
        if n % 2 == 0 {
            (Place::Begin, 0)
        } else {
            (Place::Effect, 2)
        }
    })
    .await
}

pub async fn after_a_call_abroad(run: Run) -> Result<Outcome> {
    let name = "killed after a call abroad";
    rounds(name, run, run.number(100, 2), |_| (Place::Effect, 1)).await
}

pub async fn before_the_finish(run: Run) -> Result<Outcome> {
    let name = "killed after effects, before finish";
    rounds(name, run, run.number(100, 2), |_| (Place::End, 3)).await
}

async fn rounds(
    name: &'static str,
    run: Run,
    rounds: usize,
    place: fn(usize) -> (Place, u32),
) -> Result<Outcome> {
    let plan = Plan {
        workers: run.number(WORKERS, 4),
        slots: 1,
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let client = stage.client.clone();
    let pause = Duration::from_millis(20);
    for round in 0..rounds {
        if round % BESIDE_EVERY == 0 {
            let long = Drill::new(20, OUTLASTS_A_LEASE / 20, Some(stage.abroad.calm()));
            let later = Drill {
                delay_ms: OUTLASTS_A_LEASE.as_millis() as u64,
                ..Drill::new(1, pause, Some(stage.abroad.calm()))
            };
            client
                .enqueue(&[long, later], Duration::from_secs(20))
                .await?;
        }
        let (place, step) = place(round);
        let victim = Drill::new(3, pause, Some(stage.abroad.kill_at(place, step)));
        let healthy = Drill::new(2, pause, Some(stage.abroad.calm()));
        client
            .enqueue(&[victim, healthy], Duration::from_secs(20))
            .await?;
        let struck = round + 1;
        stage
            .until("a blow", Duration::from_secs(60), async |stage| {
                Ok(stage.abroad.strikes() >= struck && stage.abroad.waiting() < AT_ONCE)
            })
            .await?;
    }
    stage.drain(run.patience(120)).await?;
    let findings = checker::check(&stage, Allowed::default()).await?;
    Ok(Outcome {
        findings,
        bound: Some(AGAIN_WITHIN),
        ..Outcome::new(name).struck(&stage)
    })
}
