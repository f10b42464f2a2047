//! API processes killed with SIGKILL the moment their answer arrives: the row is committed,
//! and no hint of it ever left, because their wire to Redis is dead. Between these, kills in
//! the middle of a request, which is then asked for again elsewhere.

use std::time::{Duration, Instant};

use anyhow::Result;
use uuid::Uuid;

use super::Run;
use crate::{
    abroad::Place,
    checker::{self, Allowed},
    client::Drill,
    findings::Invariant,
    outcome::Outcome,
    proxy::Wire,
    stage::{Plan, Role, Stage},
};

const APIS: usize = 4;
/// The issue's own bound; a scheduler looks every 200 ms.
const START_WITHIN: Duration = Duration::from_secs(8);

pub async fn run(run: Run) -> Result<Outcome> {
    let plan = Plan {
        apis: APIS,
        redis_wires: vec![Role::Api],
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let client = stage.client.clone();
    let apis = stage.places(Role::Api);
    for place in &apis {
        if let Some(wire) = &stage.seats[*place].redis_wire {
            wire.set(Wire::Dead);
        }
    }
    let wanted = run.number(300, 12);
    let mut acknowledged: Vec<(Uuid, Instant)> = Vec::new();
    let (mut after_commit, mut in_the_middle, mut unanswered) = (0, 0, 0);
    for round in 0.. {
        if after_commit == wanted || unanswered > wanted {
            break;
        }
        let api = round % APIS;
        ready(&mut stage, apis[api]).await?;
        let drill = [Drill::new(1, Duration::ZERO, Some(stage.abroad.calm()))];
        let key = Uuid::now_v7().to_string();
        if round % 5 == 4 {
            // Somewhere between its arrival and its answer.
            let asking = client.clone();
            let (asked, sent) = (drill.clone(), key.clone());
            let asking = tokio::spawn(async move { asking.ask(api, &sent, &asked).await });
            tokio::time::sleep(Duration::from_millis(2 * (round as u64 % 16))).await;
            stage.kill(apis[api])?;
            in_the_middle += 1;
            if asking.await??.is_none() {
                let other = (api + 1) % APIS;
                ready(&mut stage, apis[other]).await?;
                client.ask(other, &key, &drill).await?;
            }
        } else if let Some(jobs) = client.ask(api, &key, &drill).await? {
            stage.kill(apis[api])?;
            after_commit += 1;
            acknowledged.extend(jobs.into_iter().map(|job| (job, Instant::now())));
        } else {
            unanswered += 1;
        }
        stage.tend()?;
    }
    stage.drain(Duration::from_secs(60)).await?;
    let mut outcome = Outcome::new("API killed after commit");
    outcome.findings = checker::check(&stage, Allowed::default()).await?;
    outcome.injections = after_commit;
    outcome.note(format!(
        "{after_commit} killed after the commit; beside them {in_the_middle} in the middle of a \
         request; {unanswered} requests had no answer, and nobody was killed"
    ));
    if after_commit < wanted {
        let what = format!("a process that was ready gave no answer, {unanswered} times");
        outcome.findings.say(Invariant::InTime, what);
    }
    outcome.bound = Some(START_WITHIN);
    let calls = stage.abroad.calls();
    for (job, at) in acknowledged {
        let begun = calls
            .iter()
            .find(|call| call.job == job && call.place == Place::Begin);
        outcome
            .recoveries
            .extend(begun.map(|call| call.at.saturating_duration_since(at)));
    }
    Ok(outcome)
}

async fn ready(stage: &mut Stage, place: usize) -> Result<()> {
    stage.tend()?;
    let port = stage.seats[place].port;
    if let Some(process) = &mut stage.seats[place].process {
        process.ready(port).await?;
    }
    Ok(())
}
