//! PostgreSQL killed, stalled, its connections ended at random, all under a steady load. What was acknowledged must not be lost, no process may give up, and callers
//! see errors only while it is away.

use std::time::{Duration, Instant};

use anyhow::Result;
use sea_orm::ConnectionTrait;

use super::Run;
use crate::{
    checker::{self, Allowed},
    findings::Invariant,
    load::{Load, first_begin},
    outcome::Outcome,
    proxy::Wire,
    stage::{Plan, Role, Stage},
    witness,
};

/// After it is back: pools have noticed, leases are renewed or new, work goes on.
const GOES_ON_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn plan(run: Run) -> Plan {
    Plan {
        apis: 2,
        schedulers: 2,
        mutation: run.mutation,
        ..Plan::default()
    }
}

pub async fn killed(run: Run) -> Result<Outcome> {
    let mut stage = Stage::open(plan(run)).await?;
    let mut outcome = Outcome::new("PostgreSQL killed");
    let load = Load::steady(&stage);
    let mut away = Vec::new();
    for _ in 0..run.number(20, 2) {
        stage.run_for(Duration::from_secs(2)).await?;
        let from = Instant::now();
        stage.postgres.crash()?;
        stage.run_for(Duration::from_millis(500)).await?;
        stage.postgres.restart().await?;
        outcome.injections += 1;
        back(&mut stage, &mut outcome, from, &mut away).await?;
    }
    finish(stage, load, outcome, away).await
}

pub async fn stalled(run: Run) -> Result<Outcome> {
    let plan = Plan {
        database_wires: vec![Role::Api, Role::Worker, Role::Scheduler],
        ..plan(run)
    };
    let mut stage = Stage::open(plan).await?;
    let mut outcome = Outcome::new("PostgreSQL stalled 20 s");
    let load = Load::steady(&stage);
    let mut away = Vec::new();
    for _ in 0..run.number(3, 1) {
        stage.run_for(Duration::from_secs(3)).await?;
        let from = Instant::now();
        stage.set_database_wires(Wire::Dead);
        stage.run_for(Duration::from_secs(20)).await?;
        stage.set_database_wires(Wire::Whole);
        outcome.injections += 1;
        back(&mut stage, &mut outcome, from, &mut away).await?;
    }
    finish(stage, load, outcome, away).await
}

pub async fn terminated(run: Run) -> Result<Outcome> {
    const ONE: &str = "
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name like 'patchbay%' order by random() limit 1";
    let mut stage = Stage::open(plan(run)).await?;
    let mut outcome = Outcome::new("connections terminated at random");
    let load = Load::steady(&stage);
    let from = Instant::now();
    for _ in 0..run.number(200, 10) {
        stage.database.execute_unprepared(ONE).await?;
        outcome.injections += 1;
        stage.run_for(Duration::from_millis(200)).await?;
    }
    let away = vec![(from, Instant::now())];
    finish(stage, load, outcome, away).await
}

/// It answers again: until work goes on.
pub(super) async fn back(
    stage: &mut Stage,
    outcome: &mut Outcome,
    from: Instant,
    away: &mut Vec<(Instant, Instant)>,
) -> Result<()> {
    let healed = Instant::now();
    let goes_on = stage
        .until(
            "work that goes on",
            Duration::from_secs(30),
            async |stage| Ok(first_begin(stage, healed).is_some()),
        )
        .await;
    if let Err(error) = goes_on {
        outcome
            .findings
            .say(Invariant::InTime, format!("{error:#}"));
    }
    outcome.recoveries.extend(first_begin(stage, healed));
    away.push((from, Instant::now()));
    Ok(())
}

pub(super) async fn finish(
    mut stage: Stage,
    load: Load,
    mut outcome: Outcome,
    away: Vec<(Instant, Instant)>,
) -> Result<Outcome> {
    stage.run_for(Duration::from_secs(3)).await?;
    load.stop().await;
    stage.drain(Duration::from_secs(90)).await?;
    let allowed = Allowed {
        database_was_away: true,
    };
    let said = std::mem::take(&mut outcome.findings);
    outcome.findings = checker::check(&stage, allowed).await?;
    outcome.findings.violations.extend(said.violations);
    let log = stage.client.log().clone();
    for (at, status) in &log.refused {
        // A request that was asked while it was away is answered when its patience ends.
        let covered = away
            .iter()
            .any(|(from, to)| at >= from && *at <= *to + Duration::from_secs(2));
        if !covered {
            let what = format!("{status} although the database was there");
            outcome.findings.say(Invariant::InTime, what);
        }
    }
    let most = "select coalesce(max(crashes), 0)::bigint from jobs";
    let crashes = witness::number(&stage.database, most).await?;
    outcome.note(format!(
        "{} acknowledged, {} refused, {} unanswered; most crashes charged to a job: {crashes}",
        log.acks.len(),
        log.refused.len(),
        log.unanswered
    ));
    outcome.bound = Some(GOES_ON_WITHIN);
    Ok(outcome)
}
