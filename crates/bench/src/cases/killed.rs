//! A worker killed with SIGKILL in the middle of its jobs: until they run again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use patchbay_core::{clock::SystemClock, job::Queue};
use patchbay_scheduler::{Identity, SchedulerDeps};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    Bench,
    measure::percentile,
    product::{Home, Place},
    servers::{Fsync, Postgres, Redis},
    table::{Budget, Report, figure},
    worker::WorkerProcess,
};

const SLOTS: usize = 8;
const BODY_MS: u64 = 200;
const AGAIN_WITHIN: Duration = Duration::from_secs(60);

pub async fn run(bench: &Bench) -> Result<Report> {
    let postgres = Postgres::start()?;
    let redis = Redis::start(Fsync::Everysec)?;
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: Some(redis.url()),
    };
    let home = Home::make(place).await?;
    let stop = CancellationToken::new();
    let scheduler = SchedulerDeps::new(
        home.store.clone(),
        Arc::clone(&home.hints),
        Arc::new(SystemClock),
        Identity::Own {
            host: "bench".to_owned(),
        },
    );
    let duties = tokio::spawn(patchbay_scheduler::run(scheduler, stop.clone()));
    let mut report = Report::new(
        "killed",
        format!("a worker killed with jobs of {BODY_MS} ms running"),
        &["queue", "running", "rounds", "p50 s", "p99 s"],
    );
    report.method = "From SIGKILL to the next claim of each of its jobs by the worker that is left, read from the \
                     database every 10 ms. A job whose process died is a suspect, and a process runs one suspect at a \
                     time, so of several jobs the last waits for the others."
        .to_owned();
    for (running, rounds) in [(1, bench.number(30, 2)), (SLOTS, bench.number(4, 1))] {
        let mut waits = Vec::new();
        for _ in 0..rounds {
            waits.extend(round(&home, running).await?);
        }
        let (p50, p99) = (percentile(&waits, 50.0), percentile(&waits, 99.0));
        let cells = vec![
            running.to_string(),
            rounds.to_string(),
            figure(p50),
            figure(p99),
        ];
        let data = json!({ "running": running, "p50_s": p50, "p99_s": p99, "samples": waits.len(), "rounds": rounds });
        report.row("patchbay", cells, data);
        report.budget(Budget {
            what: format!("p99 of {running} running"),
            got: Some(p99),
            floor: Some(8.0),
            aim: 3.0,
            unit: " s",
            at_most: true,
        });
    }
    stop.cancel();
    duties.await?;
    Ok(report)
}

/// Seconds until each of the killed worker's jobs was claimed again.
async fn round(home: &Home, running: usize) -> Result<Vec<f64>> {
    let org = home.orgs(1).await?[0];
    let known = home.number("select count(*) from processes").await?;
    let mut victim = WorkerProcess::start(&home.place, SLOTS, &[])?;
    registered(home, known + 1).await?;
    let jobs = home
        .enqueue(org, Queue::Sync, running, json!({ "sleep_ms": BODY_MS }))
        .await?;
    let of_org = format!("from jobs where org_id = '{org}'");
    until(
        home,
        &format!("select count(*) {of_org} and state = 'running'"),
        jobs.len() as i64,
    )
    .await?;
    let _survivor = WorkerProcess::start(&home.place, SLOTS, &[])?;
    let killed = Instant::now();
    victim.kill()?;
    let lost = home
        .number(&format!(
            "select count(*) {of_org} and state = 'running' and lease_epoch = 1"
        ))
        .await?;
    ensure!(lost > 0, "the worker had finished before it was killed");
    let mut again = Vec::new();
    let claimed_again = format!("select count(*) {of_org} and lease_epoch > 1");
    while (again.len() as i64) < lost {
        if killed.elapsed() > AGAIN_WITHIN {
            bail!(
                "{} of {lost} jobs ran again within {AGAIN_WITHIN:?}",
                again.len()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = usize::try_from(home.number(&claimed_again).await?)?;
        again.resize(now.max(again.len()), killed.elapsed().as_secs_f64());
    }
    // What the survivor leaves unfinished would be the next round's suspects.
    until(
        home,
        &format!("select count(*) {of_org} and state = 'succeeded'"),
        jobs.len() as i64,
    )
    .await?;
    Ok(again)
}

async fn registered(home: &Home, processes: i64) -> Result<()> {
    until(home, "select count(*) from processes", processes).await
}

async fn until(home: &Home, count: &str, wanted: i64) -> Result<()> {
    let give_up = Instant::now() + Duration::from_secs(20);
    while home.number(count).await? < wanted {
        ensure!(
            Instant::now() < give_up,
            "waited 20 s for {wanted} of: {count}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
