//! Fifty thousand due jobs while all workers are down; then workers start.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Run;
use crate::{
    checker::{self, Allowed},
    client::Drill,
    findings::Invariant,
    outcome::{Outcome, seconds},
    stage::{Plan, Role, Stage},
};

/// What a request may carry.
const BATCH: usize = 1_000;

pub async fn run(run: Run) -> Result<Outcome> {
    let plan = Plan {
        slots: 100,
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::prepare(plan).await?;
    stage.start_all(&[Role::Api, Role::Scheduler])?;
    stage.all_ready().await?;
    let client = stage.client.clone();
    let began = Instant::now();
    let jobs = run.number(50_000, 2_000);
    let batch = vec![Drill::new(1, Duration::ZERO, None); BATCH];
    for _ in 0..jobs / BATCH {
        client.enqueue(&batch, Duration::from_secs(60)).await?;
    }
    let asked = seconds(began);
    let began = Instant::now();
    stage.start_all(&[Role::Worker])?;
    let drained = stage.drain(Duration::from_secs(300)).await?;
    let mut findings = checker::check(&stage, Allowed::default()).await?;
    if !drained {
        findings.say(Invariant::InTime, "it did not drain within five minutes");
    }
    let mut outcome = Outcome {
        findings,
        injections: jobs,
        ..Outcome::new("due jobs, all workers down")
    };
    outcome.note(format!(
        "asked for in {asked}, drained in {}",
        seconds(began)
    ));
    Ok(outcome)
}
