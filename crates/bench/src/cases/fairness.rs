//! Small tenants behind a large one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use patchbay_core::{ids::OrgId, job::Queue};
use serde_json::json;

use crate::{
    Bench,
    measure::{ms, percentile},
    peers::{Peer, number, text, title},
    product::{Crew, Home, Place, enqueue, noop},
    servers::{Fsync, Postgres, Redis},
    starts::Starts,
    table::{Budget, Report, figure},
};

const SLOTS: usize = 20;
const BODY_MS: u64 = 5;
const SMALL_ORGS: usize = 10;
const JOBS_EACH: usize = 5;
/// Rounds of the small orgs, unloaded and loaded, so that a percentile has something to stand on.
const ROUNDS: usize = 8;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(500);
const STARTED_WITHIN: Duration = Duration::from_secs(60);

pub async fn run(bench: &Bench) -> Result<Report> {
    let flood = bench.number(100_000, 30_000);
    let postgres = Postgres::start()?;
    let redis = Redis::start(Fsync::Everysec)?;
    let mut report = Report::new(
        "fairness",
        format!(
            "{SMALL_ORGS} orgs with {JOBS_EACH} jobs each, alone and behind one org with {} jobs of {BODY_MS} ms",
            figure(flood as f64)
        ),
        &[
            "queue",
            "batch",
            "alone p50 ms",
            "alone p99 ms",
            "loaded p50 ms",
            "loaded p99 ms",
            "loaded/alone p99",
        ],
    );
    report.method = format!(
        "{SLOTS} slots. From the call that enqueues the small orgs' jobs (one transaction) to the start of each body. \
         Ours: {ROUNDS} rounds each, of which the first is thrown away; BullMQ: one round each, one list for all."
    );
    bench.starts.watch(true);
    let measured = ours(&postgres, &redis, &bench.starts, flood).await;
    bench.starts.watch(false);
    let (alone, loaded) = measured?;
    let line = [
        percentile(&alone, 50.0),
        percentile(&alone, 99.0),
        percentile(&loaded, 50.0),
        percentile(&loaded, 99.0),
    ];
    let ratio = line[3] / line[1];
    let mut cells = vec![format!("enqueue {}, {SLOTS} slots", SMALL_ORGS * JOBS_EACH)];
    cells.extend(line.map(figure));
    cells.push(format!("{ratio:.2}x"));
    let data = json!({
        "unloaded_p50_ms": line[0], "unloaded_p99_ms": line[1], "loaded_p50_ms": line[2], "loaded_p99_ms": line[3],
        "ratio": ratio, "samples": loaded.len(), "flood": flood,
    });
    report.row("patchbay", cells, data);

    redis.flush()?;
    let settings = [
        ("REDIS_URL", redis.url()),
        ("JOBS", flood.to_string()),
        ("CONCURRENCY", SLOTS.to_string()),
        ("BODY_MS", BODY_MS.to_string()),
    ];
    match bench.peers.run(Peer::BullMq, "fairness", &settings).await {
        Ok(row) => {
            let mut cells = vec![text(&row, "batch")];
            let fields = [
                "unloaded_p50_ms",
                "unloaded_p99_ms",
                "loaded_p50_ms",
                "loaded_p99_ms",
            ];
            cells.extend(fields.map(|field| figure(number(&row, field))));
            cells.push(format!("{:.2}x", number(&row, "ratio")));
            report.row(title(&row), cells, row);
        }
        Err(why) => report.missing(Peer::BullMq.name(), &why),
    }
    report.budget(Budget {
        what: "p99 start, loaded over alone".to_owned(),
        got: Some(ratio),
        floor: Some(2.0),
        aim: 1.3,
        unit: "x",
        at_most: true,
    });
    Ok(report)
}

/// Waits in milliseconds, alone and behind the flood.
async fn ours(
    postgres: &Postgres,
    redis: &Redis,
    starts: &Starts,
    flood: usize,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: Some(redis.url()),
    };
    let home = Home::make(place).await?;
    let small = home.orgs(SMALL_ORGS).await?;
    let large = home.orgs(1).await?[0];
    let mut crew = Crew::ready(&home.place, Queue::Sync, SLOTS).await?;
    crew.go();
    let alone = rounds(&home, &small, starts).await?;
    let before = starts.count();
    home.enqueue(large, Queue::Sync, flood, body()).await?;
    while starts.count() < before + 5 * SLOTS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let loaded = rounds(&home, &small, starts).await?;
    let left = home
        .number("select count(*) from jobs where state = 'queued'")
        .await?;
    ensure!(
        left > 0,
        "the flood ended before the last round: these figures would be unloaded ones"
    );
    crew.stop().await?;
    Ok((alone, loaded))
}

async fn rounds(home: &Home, small: &[OrgId], starts: &Starts) -> Result<Vec<f64>> {
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        tokio::time::sleep(BETWEEN_ROUNDS).await;
        let jobs = (0..JOBS_EACH * small.len())
            .map(|at| noop(small[at % small.len()], Queue::Sync, body()))
            .collect();
        let called = Instant::now();
        let ids = enqueue(&home.store, &*home.hints, Queue::Sync, jobs).await?;
        let mut started = Vec::new();
        while started.len() < ids.len() && called.elapsed() < STARTED_WITHIN {
            tokio::time::sleep(Duration::from_millis(2)).await;
            started = ids.iter().filter_map(|id| starts.of(*id)).collect();
        }
        ensure!(
            started.len() == ids.len(),
            "{} of {} small jobs started in time",
            started.len(),
            ids.len()
        );
        if round > 0 {
            waits.extend(started.iter().map(|at| ms(at.duration_since(called))));
        }
    }
    Ok(waits)
}

fn body() -> serde_json::Value {
    json!({ "sleep_ms": BODY_MS })
}
