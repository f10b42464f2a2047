//! No fault at all: delayed jobs, failing ones, lanes, keys, requests repeated. It shows that
//! the checker passes a healthy fleet, and it catches the bugs that need no fault to show.

use std::time::Duration;

use anyhow::Result;
use uuid::Uuid;

use super::Run;
use crate::{
    checker::{self, Allowed},
    client::{Drill, End},
    outcome::Outcome,
    stage::{Plan, Stage},
};

pub async fn run(run: Run) -> Result<Outcome> {
    let plan = Plan {
        apis: 2,
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let client = stage.client.clone();
    let calm = Some(stage.abroad.calm());
    let within = Duration::from_secs(20);
    let rounds = run.number(10, 3);
    for round in 0..rounds {
        let step = Duration::from_millis(30);
        let mut drills = vec![Drill::new(2, step, calm.clone()); 5];
        for delay_ms in [400, 900, 1_700] {
            drills.push(Drill {
                delay_ms,
                ..Drill::new(1, step, calm.clone())
            });
        }
        let lane = format!("lane-{round}");
        drills.extend((0..6).map(|_| Drill {
            lane: Some(lane.clone()),
            ..Drill::new(1, step, calm.clone())
        }));
        // The first of a lane holds up the others until it is due.
        drills.extend([800, 0, 0].map(|delay_ms| Drill {
            delay_ms,
            lane: Some(format!("held-{round}")),
            ..Drill::new(1, step, calm.clone())
        }));
        drills.push(Drill {
            max_attempts: Some(2),
            end: End::Failed(2),
            ..Drill::new(1, step, calm.clone()).with("fail", true)
        });
        // The same request twice at the same moment, at two API processes.
        let key = Uuid::now_v7().to_string();
        let (first, second) =
            tokio::join!(client.ask(0, &key, &drills), client.ask(1, &key, &drills));
        first?;
        second?;
        client.ask(0, &key, &drills).await?;
        one_key(&mut stage, round).await?;
        client
            .enqueue(&[Drill::new(3, step, calm.clone())], within)
            .await?;
        stage.run_for(Duration::from_millis(300)).await?;
    }
    stage
        .drain(Duration::from_secs(run.number(60, 25) as u64))
        .await?;
    let findings = checker::check(&stage, Allowed::default()).await?;
    Ok(Outcome {
        findings,
        injections: rounds,
        ..Outcome::new("no fault")
    })
}

/// Requests of one key: together, then one more while its job runs.
async fn one_key(stage: &mut Stage, round: usize) -> Result<()> {
    let drill = Drill {
        dedupe_key: Some(format!("key-{round}")),
        ..Drill::new(3, Duration::from_millis(250), Some(stage.abroad.calm()))
    };
    let client = stage.client.clone();
    let keys = [Uuid::now_v7().to_string(), Uuid::now_v7().to_string()];
    let (first, second) = tokio::join!(
        client.ask(0, &keys[0], std::slice::from_ref(&drill)),
        client.ask(1, &keys[1], std::slice::from_ref(&drill))
    );
    let (first, _) = (first?.unwrap_or_default(), second?);
    stage
        .until(
            "the job of the key",
            Duration::from_secs(20),
            async |stage| {
                let calls = stage.abroad.calls();
                Ok(calls.iter().any(|call| first.contains(&call.job)))
            },
        )
        .await?;
    client.ask(0, &Uuid::now_v7().to_string(), &[drill]).await?;
    Ok(())
}
