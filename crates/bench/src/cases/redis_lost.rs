//! Redis killed in the middle of a drain: how fast the table alone feeds the workers, and for
//! how long nothing ended.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use patchbay_core::job::Queue;
use serde_json::json;

use crate::{
    Bench,
    measure::rate,
    product::{Crew, Home, Place, nothing},
    servers::{Fsync, Postgres, Redis},
    table::{Budget, Report, figure, ratio},
};

const SLOTS: usize = 500;
const WITHIN: Duration = Duration::from_secs(300);
/// How often the count of ended jobs is read.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub async fn run(bench: &Bench) -> Result<Report> {
    let jobs = bench.number(100_000, 20_000);
    let postgres = Postgres::start()?;
    let mut report = Report::new(
        "redis_lost",
        format!(
            "{} durable no-op jobs, one worker process of {SLOTS} slots, Redis killed when a third is done",
            figure(jobs as f64)
        ),
        &[
            "Redis",
            "jobs/s after the third",
            "over normal",
            "longest pause s",
        ],
    );
    report.method = "Both rows from a third of the jobs to the last, the same backlog on a fresh database. SIGKILL, \
                     and Redis stays away. A pause is the time from one finished job to the next, looked at every 5 ms."
        .to_owned();
    let mut normal = 0.0;
    for kills in [false, true] {
        let seen = drain(&postgres, jobs, kills).await?;
        let (title, over) = if kills {
            ("killed", ratio(seen.per_second, normal))
        } else {
            normal = seen.per_second;
            ("there", "1".to_owned())
        };
        let cells = vec![
            title.to_owned(),
            figure(seen.per_second),
            over,
            figure(seen.pause.as_secs_f64()),
        ];
        let data = json!({
            "redis": title, "jobs": jobs, "slots": SLOTS, "per_second": seen.per_second,
            "longest_pause_s": seen.pause.as_secs_f64(),
        });
        report.row("patchbay", cells, data);
        if kills {
            report.budget(Budget {
                what: "throughput without Redis over with it".to_owned(),
                got: Some(seen.per_second / normal),
                floor: None,
                aim: 0.8,
                unit: "x",
                at_most: false,
            });
            report.budget(Budget {
                what: "work goes on after".to_owned(),
                got: Some(seen.pause.as_secs_f64()),
                floor: Some(5.0),
                aim: 1.0,
                unit: " s",
                at_most: true,
            });
        }
    }
    Ok(report)
}

struct Seen {
    per_second: f64,
    pause: Duration,
}

async fn drain(postgres: &Postgres, jobs: usize, kills: bool) -> Result<Seen> {
    let redis = Redis::start(Fsync::Everysec)?;
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: Some(redis.url()),
    };
    let home = Home::make(place).await?;
    let org = home.orgs(1).await?[0];
    home.enqueue(org, Queue::Sync, jobs, nothing()).await?;
    home.analyze().await?;
    let mut crew = Crew::ready(&home.place, Queue::Sync, SLOTS).await?;
    crew.go();
    ensure!(
        crew.wait_for(jobs / 3, WITHIN).await,
        "a third of the jobs took longer than {WITHIN:?}"
    );
    let done = crew.succeeded();
    let mut redis = Some(redis);
    if kills {
        drop(redis.take());
    }
    let (begin, mut last, mut pause) = (Instant::now(), done, Duration::ZERO);
    let mut moved = begin;
    while (last as usize) < jobs {
        ensure!(
            begin.elapsed() < WITHIN,
            "{last} of {jobs} jobs after {WITHIN:?}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
        let now = crew.succeeded();
        pause = pause.max(moved.elapsed());
        if now > last {
            (last, moved) = (now, Instant::now());
        }
    }
    let per_second = rate(jobs - done as usize, begin.elapsed());
    crew.stop().await?;
    let recorded = home
        .number("select count(*) from jobs where state = 'succeeded'")
        .await?;
    ensure!(
        recorded == i64::try_from(jobs)?,
        "{recorded} of {jobs} jobs are recorded as succeeded"
    );
    Ok(Seen { per_second, pause })
}
