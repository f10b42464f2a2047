//! A worker whose wire to PostgreSQL is pulled, or cut, while all others have theirs: it must
//! stop its bodies by itself, and what it held goes on elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Run;
use crate::{
    abroad::{Call, Place},
    checker::{self, Allowed},
    client::Drill,
    findings::Invariant,
    outcome::Outcome,
    proxy::Wire,
    stage::{Plan, Role, Stage},
};

/// The issue's own bound.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const AGAIN_WITHIN: Duration = Duration::from_secs(8);

pub async fn run(run: Run) -> Result<Outcome> {
    let plan = Plan {
        workers: 3,
        slots: 1,
        database_wires: vec![Role::Worker],
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let client = stage.client.clone();
    let mut outcome = Outcome::new("worker cut from PostgreSQL");
    for round in 0..run.number(6, 1) {
        let drill = Drill::new(24, Duration::from_millis(500), Some(stage.abroad.calm()));
        let jobs = client.enqueue(&[drill], Duration::from_secs(20)).await?;
        let of_job = |stage: &Stage| -> Vec<Call> {
            let calls = stage.abroad.calls().into_iter();
            calls.filter(|call| jobs.contains(&call.job)).collect()
        };
        stage
            .until("its second step", Duration::from_secs(30), async |stage| {
                Ok(of_job(stage).iter().any(|call| call.step == 2))
            })
            .await?;
        let before = of_job(&stage).pop().context("it has called")?;
        let place = stage
            .places(Role::Worker)
            .into_iter()
            .find(|place| {
                let process = stage.seats[*place].process.as_ref();
                process.is_some_and(|process| process.id() == before.process)
            })
            .context("one of ours runs it")?;
        stage.abroad.disturb(before.process);
        let how = if round % 2 == 0 {
            Wire::Dead
        } else {
            Wire::Cut
        };
        let wire = stage.seats[place].database_wire.as_ref();
        wire.context("its wire is ours")?.set(how);
        let cut = Instant::now();
        stage.run_for(Duration::from_secs(13)).await?;
        let wire = stage.seats[place].database_wire.as_ref();
        wire.context("its wire is ours")?.set(Wire::Whole);
        stage.drain(Duration::from_secs(60)).await?;
        let calls = of_job(&stage);
        let last = calls.iter().rev().find(|call| call.epoch == before.epoch);
        if last.is_some_and(|call| call.at > cut + GONE_WITHIN) {
            outcome
                .findings
                .say(Invariant::InTime, format!("still went on: {last:?}"));
        }
        let again = calls
            .iter()
            .find(|call| call.epoch > before.epoch && call.place == Place::Begin);
        match again {
            Some(call) => outcome.recoveries.push(call.at - cut),
            None => outcome
                .findings
                .say(Invariant::InTime, "nobody else ran it"),
        }
        outcome.injections += 1;
    }
    let said = std::mem::take(&mut outcome.findings);
    outcome.findings = checker::check(&stage, Allowed::default()).await?;
    outcome.findings.violations.extend(said.violations);
    outcome.bound = Some(AGAIN_WITHIN);
    Ok(outcome)
}
