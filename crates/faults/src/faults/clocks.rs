//! Workers whose clocks are two hours ahead and seven days behind (libfaketime), beside one
//! with the right time: leases and due times are the database's, so nothing may come early
//! and no lease may look dead.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use super::Run;
use crate::{
    checker::{self, Allowed},
    client::{Drill, End},
    outcome::Outcome,
    stage::{Plan, Role, Stage},
};

const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

pub async fn run(run: Run) -> Result<Outcome> {
    const NAME: &str = "worker clocks +2 h, -7 d";
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        return Ok(Outcome::skipped(
            NAME,
            "libfaketime is not installed (apt-get install libfaketime)",
        ));
    };
    let clock = |offset: &str| {
        vec![
            ("LD_PRELOAD".to_owned(), library.to_owned()),
            ("FAKETIME".to_owned(), offset.to_owned()),
            // Only the time of day is wrong; a machine's own count of seconds is never set.
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
            ("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ]
    };
    let plan = Plan {
        workers: 3,
        worker_variables: vec![Vec::new(), clock("+2h"), clock("-7d")],
        mutation: run.mutation,
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    ensure!(
        days(&stage)? == 2,
        "libfaketime does not work here: the log of the worker that is a week behind says today"
    );
    let client = stage.client.clone();
    let (calm, step) = (stage.abroad.calm(), Duration::from_millis(50));
    let rounds = run.number(20, 4);
    for round in 0..rounds {
        let mut drills = vec![Drill::new(3, step, Some(calm.clone())); 4];
        for delay_ms in [500, 1_500, 3_000] {
            drills.push(Drill {
                delay_ms,
                ..Drill::new(1, step, Some(calm.clone()))
            });
        }
        drills.push(Drill {
            max_attempts: Some(2),
            end: End::Failed(2),
            ..Drill::new(1, step, Some(calm.clone())).with("fail", true)
        });
        client.enqueue(&drills, Duration::from_secs(20)).await?;
        if round % 5 == 2 {
            let workers = stage.places(Role::Worker);
            stage.kill(workers[round % workers.len()])?;
        }
        stage.run_for(Duration::from_millis(500)).await?;
    }
    stage.drain(Duration::from_secs(60)).await?;
    Ok(Outcome {
        findings: checker::check(&stage, Allowed::default()).await?,
        injections: rounds,
        ..Outcome::new(NAME)
    })
}

/// On how many days the logs of the first worker and of the one a week behind begin.
fn days(stage: &Stage) -> Result<usize> {
    let workers = stage.places(Role::Worker);
    let mut days = BTreeSet::new();
    for place in [workers[0], workers[2]] {
        let process = stage.seats[place].process.as_ref();
        let log = process.context("it runs")?.log()?;
        let (_, after) = log.split_once("\"timestamp\":\"").context("a time")?;
        days.insert(after.get(..10).context("a day")?.to_owned());
    }
    Ok(days.len())
}
