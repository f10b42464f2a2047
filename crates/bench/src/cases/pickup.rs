//! From the call that enqueues to the start of the body, with nothing else to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use patchbay_core::{
    ids::{JobId, OrgId},
    job::Queue,
};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::{
    Bench,
    measure::{ms, percentile},
    peers::{Peer, number, text, title},
    product::{Crew, Home, Place, enqueue, noop, nothing},
    servers::{Fsync, Postgres, Redis},
    starts::Starts,
    table::{Budget, Report, figure},
};

const QUIET: Duration = Duration::from_millis(25);
const SLOTS: usize = 100;
/// The first ones prepare statements and open connections: thrown away.
const WARM_UP: usize = 10;

pub async fn run(bench: &Bench) -> Result<Report> {
    let samples = bench.number(300, 100);
    let postgres = Postgres::start()?;
    let redis = Redis::start(Fsync::Everysec)?;
    let mut report = Report::new(
        "pickup",
        format!("from the call that enqueues to the start of the body, idle, {samples} samples"),
        &["queue", "batch", "p50 ms", "p99 ms", "stores"],
    );
    report.method = "One job at a time, 25 ms of quiet before each. Before each of ours a raw commit is measured on the \
                     same pool: one row inserted. A durable pick-up holds two commits: the enqueue and the claim."
        .to_owned();

    bench.starts.watch(true);
    let measured = ours(&postgres, &redis, &bench.starts, samples).await;
    bench.starts.watch(false);
    let (waits, commits) = measured?;
    let line = |values: &[f64]| (percentile(values, 50.0), percentile(values, 99.0));
    let (p50, p99) = line(&waits);
    let (commit_p50, commit_p99) = line(&commits);
    report.row(
        "patchbay",
        vec![
            format!("1, {SLOTS} slots"),
            figure(p50),
            figure(p99),
            "PostgreSQL + Redis everysec".to_owned(),
        ],
        json!({ "p50_ms": p50, "p99_ms": p99, "samples": samples }),
    );
    report.row(
        "one raw commit",
        vec![
            "1 row".to_owned(),
            figure(commit_p50),
            figure(commit_p99),
            "PostgreSQL".to_owned(),
        ],
        json!({ "p50_ms": commit_p50, "p99_ms": commit_p99, "samples": samples }),
    );
    let peers = [
        (
            Peer::BullMq,
            ("REDIS_URL", redis.url()),
            None,
            "Redis everysec",
        ),
        (
            Peer::GraphileWorker,
            ("DATABASE_URL", postgres.empty("peer").await?),
            Some("0"),
            "PostgreSQL",
        ),
        (
            Peer::GraphileWorker,
            ("DATABASE_URL", postgres.empty("peer2").await?),
            Some("500"),
            "PostgreSQL",
        ),
    ];
    for (peer, server, batch, stores) in peers {
        redis.flush()?;
        let mut settings = vec![server, ("SAMPLES", samples.to_string())];
        settings.extend(batch.map(|batch| ("BATCH", batch.to_owned())));
        match bench.peers.run(peer, "pickup", &settings).await {
            Ok(row) => {
                let cells = vec![
                    text(&row, "batch"),
                    figure(number(&row, "p50_ms")),
                    figure(number(&row, "p99_ms")),
                    stores.to_owned(),
                ];
                report.row(title(&row), cells, row);
            }
            Err(why) => report.missing(peer.name(), &why),
        }
    }
    report.budget(Budget {
        what: "p50 over two raw commits".to_owned(),
        got: Some(p50 - 2.0 * commit_p50),
        floor: Some(5.0),
        aim: 1.0,
        unit: " ms",
        at_most: true,
    });
    Ok(report)
}

/// Waits of ours and raw commits, in milliseconds.
async fn ours(
    postgres: &Postgres,
    redis: &Redis,
    starts: &Starts,
    samples: usize,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: Some(redis.url()),
    };
    let home = Home::make(place).await?;
    home.store
        .db()
        .execute_unprepared("create table raw_commit (at timestamptz)")
        .await?;
    let org = home.orgs(1).await?[0];
    let mut crew = Crew::ready(&home.place, Queue::Interactive, SLOTS).await?;
    crew.go();
    let (mut waits, mut commits) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + samples {
        tokio::time::sleep(QUIET).await;
        let called = Instant::now();
        home.store
            .db()
            .execute_unprepared("insert into raw_commit values (now())")
            .await?;
        let commit = ms(called.elapsed());
        tokio::time::sleep(QUIET).await;
        let wait = one(&home, org, starts).await?;
        if round >= WARM_UP {
            commits.push(commit);
            waits.push(wait);
        }
    }
    crew.stop().await?;
    Ok((waits, commits))
}

async fn one(home: &Home, org: OrgId, starts: &Starts) -> Result<f64> {
    let called = Instant::now();
    let job = noop(org, Queue::Interactive, nothing());
    let ids = enqueue(&home.store, &*home.hints, Queue::Interactive, vec![job]).await?;
    let started = start_of(ids[0], starts).await?;
    Ok(ms(started.duration_since(called)))
}

async fn start_of(job: JobId, starts: &Starts) -> Result<Instant> {
    for _ in 0..10_000 {
        if let Some(at) = starts.of(job) {
            return Ok(at);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None.context("a job did not start within 10 s")
}
