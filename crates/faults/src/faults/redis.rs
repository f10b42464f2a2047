//! Redis flushed, killed, stalled, and full, under a steady load. It only hints: nothing may be
//! lost, no body may notice, no caller may see it, and work goes on.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::Run;
use crate::{
    checker::{self, Allowed},
    findings::Invariant,
    load::{Load, longest_silence},
    outcome::Outcome,
    stage::{Plan, Stage, port_of},
};

/// How long work may stand still while Redis is away (docs/faults.md).
const GOES_ON_WITHIN: Duration = Duration::from_secs(5);

pub async fn run(run: Run) -> Result<Outcome> {
    let plan = Plan {
        apis: 2,
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let mut outcome = Outcome::new("Redis flushed, killed, stalled, full");
    let load = Load::steady(&stage);
    stage.run_for(Duration::from_secs(2)).await?;

    let began = Instant::now();
    for _ in 0..run.number(6, 1) {
        stage.redis.flush()?;
        outcome.injections += 1;
        stage
            .run_for(Duration::from_secs(run.number(5, 1) as u64))
            .await?;
    }
    judge(&stage, &mut outcome, "flushed", began);

    let began = Instant::now();
    stage.redis.kill()?;
    stage
        .run_for(Duration::from_secs(run.number(60, 4) as u64))
        .await?;
    judge(&stage, &mut outcome, "killed", began);
    stage.redis.restart().await?;
    stage.run_for(Duration::from_secs(2)).await?;

    let began = Instant::now();
    stage.redis.pause()?;
    stage
        .run_for(Duration::from_secs(run.number(30, 5) as u64))
        .await?;
    judge(&stage, &mut outcome, "stalled", began);
    stage.redis.resume()?;
    stage.run_for(Duration::from_secs(2)).await?;

    let began = Instant::now();
    for setting in ["maxmemory-policy noeviction", "maxmemory 1"] {
        tell(&stage, &format!("CONFIG SET {setting}\r\n"))?;
    }
    stage
        .run_for(Duration::from_secs(run.number(20, 3) as u64))
        .await?;
    judge(&stage, &mut outcome, "full", began);
    tell(&stage, "CONFIG SET maxmemory 0\r\n")?;
    outcome.injections += 3;

    load.stop().await;
    stage.drain(Duration::from_secs(60)).await?;
    let said = std::mem::take(&mut outcome.findings);
    outcome.findings = checker::check(&stage, Allowed::default()).await?;
    outcome.findings.violations.extend(said.violations);
    let log = stage.client.log().clone();
    if !log.refused.is_empty() || log.unanswered > 0 {
        let what = format!("{} answers 5xx, {} none", log.refused.len(), log.unanswered);
        outcome.findings.say(Invariant::InTime, what);
    }
    outcome.bound = Some(GOES_ON_WITHIN);
    Ok(outcome)
}

fn judge(stage: &Stage, outcome: &mut Outcome, how: &str, began: Instant) {
    let silence = longest_silence(stage, began, Instant::now());
    outcome.recoveries.push(silence);
    outcome.note(format!(
        "{how}: longest silence {:.2} s",
        silence.as_secs_f64()
    ));
}

/// A command as text, which Redis takes as well.
fn tell(stage: &Stage, command: &str) -> Result<()> {
    let mut redis = TcpStream::connect(("127.0.0.1", port_of(&stage.redis.url())?))?;
    redis.set_read_timeout(Some(Duration::from_secs(5)))?;
    redis.write_all(command.as_bytes())?;
    let mut answer = [0; 64];
    let length = redis.read(&mut answer)?;
    ensure!(
        answer[..length].starts_with(b"+OK"),
        "Redis refused {command}"
    );
    Ok(())
}
