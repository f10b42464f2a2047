//! A rolling restart: one process after the other is asked to end (SIGTERM) and started again,
//! under a steady load of jobs that are under way.

use std::time::Duration;

use anyhow::Result;

use super::Run;
use crate::{
    checker::{self, Allowed},
    client::Drill,
    findings::Invariant,
    load::Load,
    outcome::Outcome,
    stage::{Plan, Stage},
};

pub async fn run(run: Run) -> Result<Outcome> {
    let plan = Plan {
        apis: 2,
        workers: 3,
        schedulers: 2,
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let drill = Drill::new(6, Duration::from_millis(150), Some(stage.abroad.calm()));
    let load = Load::start(
        &stage.client.clone().balanced(),
        2,
        Duration::from_millis(150),
        &drill,
    );
    stage.run_for(Duration::from_secs(1)).await?;
    let mut outcome = Outcome::new("rolling SIGTERM restart");
    // Every process in turn; a fleet has seven.
    for round in 0..run.number(20, 4) {
        let place = (round * 2) % stage.seats.len();
        let port = stage.seats[place].port;
        if let Some(process) = &mut stage.seats[place].process {
            stage.abroad.disturb(process.id());
            let ended = process.terminate(Duration::from_secs(35)).await?;
            if !ended.success() {
                outcome
                    .findings
                    .say(Invariant::ProcessEnded, format!("asked to end: {ended}"));
            }
        }
        stage.tend()?;
        if let Some(process) = &mut stage.seats[place].process {
            process.ready(port).await?;
        }
        stage.run_for(Duration::from_millis(300)).await?;
        outcome.injections += 1;
    }
    load.stop().await;
    stage.drain(Duration::from_secs(60)).await?;
    let said = std::mem::take(&mut outcome.findings);
    outcome.findings = checker::check(&stage, Allowed::default()).await?;
    outcome.findings.violations.extend(said.violations);
    let log = stage.client.log().clone();
    if !log.refused.is_empty() {
        let codes: Vec<u16> = log.refused.iter().map(|(_, status)| *status).collect();
        let what = format!("answers {codes:?}");
        outcome.findings.say(Invariant::InTime, what);
    }
    outcome.note(format!(
        "{} acknowledged, {} asked again at the other API",
        log.acks.len(),
        log.unanswered
    ));
    Ok(outcome)
}
