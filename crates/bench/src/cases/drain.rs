//! Durable no-op jobs, drained by one worker process.

use std::time::Duration;

use anyhow::{Result, ensure};
use patchbay_core::job::Queue;
use serde_json::{Value, json};

use crate::{
    Bench,
    measure::{cpu_seconds, cpu_seconds_with_children, rate},
    peers::{Peer, number, text, title},
    product::{Crew, ENQUEUE_BATCH, Home, Place, nothing},
    servers::{Fsync, Postgres, Redis},
    table::{Budget, Report, figure, ratio},
};

const WITHIN: Duration = Duration::from_secs(120);
/// Slots of our worker, which are also the most it claims at once. The middle one is the
/// row that is compared: batches as large as those of graphile-worker's `localQueue` 500.
const SLOTS: [usize; 3] = [100, COMPARED, 2_000];
const COMPARED: usize = 500;

pub async fn run(bench: &Bench) -> Result<Report> {
    let jobs = bench.number(100_000, 20_000);
    let postgres = if bench.statements {
        Postgres::start_counting()?
    } else {
        Postgres::start()?
    };
    let redis = Redis::start(Fsync::Everysec)?;
    let mut report = Report::new(
        "drain",
        format!(
            "{} durable no-op jobs, one worker process, already queued",
            figure(jobs as f64)
        ),
        &[
            "queue",
            "batch",
            "finished jobs",
            "jobs/s",
            "patchbay/it",
            "Redis us/job",
            "stores",
        ],
    );
    report.method = "From the start of a connected worker to the last job recorded as finished. Ours runs a \
                     scheduler beside it, in the same process. Redis time: commands that clients send."
        .to_owned();

    let mut ours = Vec::new();
    for slots in SLOTS {
        let row = drain(&postgres, &redis, jobs, slots, bench.statements).await?;
        ours.push((slots, row));
    }
    let compared = ours
        .iter()
        .find(|(slots, _)| *slots == COMPARED)
        .map_or(0.0, |(_, row)| number(row, "per_second"));
    for (slots, row) in ours {
        let cells = vec![
            format!("enqueue {ENQUEUE_BATCH}, {slots} slots"),
            "kept".to_owned(),
            figure(number(&row, "per_second")),
            if slots == COMPARED {
                "1".to_owned()
            } else {
                ratio(compared, number(&row, "per_second"))
            },
            figure(number(&row, "redis_us_per_job")),
            "PostgreSQL + Redis everysec".to_owned(),
        ];
        report.row("patchbay", cells, row);
    }
    let peers = beside(bench, &postgres, &redis, jobs, compared, &mut report).await?;
    for budget in budgets(compared, &peers) {
        report.budget(budget);
    }
    Ok(report)
}

/// One run of ours on a fresh database.
async fn drain(
    postgres: &Postgres,
    redis: &Redis,
    jobs: usize,
    slots: usize,
    statements: bool,
) -> Result<Value> {
    redis.flush()?;
    let place = Place {
        database: postgres.empty("patchbay").await?,
        redis: Some(redis.url()),
    };
    let home = Home::make(place).await?;
    let org = home.orgs(1).await?[0];
    home.enqueue(org, Queue::Sync, jobs, nothing()).await?;
    home.analyze().await?;
    let mut crew = Crew::ready(&home.place, Queue::Sync, slots).await?;
    if statements {
        home.count_statements().await?;
    }
    let before = redis.time()?;
    let cpu = Cpu::now(postgres);
    let start = crew.go();
    let complete = crew.wait_for(jobs, WITHIN).await;
    let took = start.elapsed();
    let cpu = Cpu::now(postgres).per_job_since(&cpu, jobs);
    let (redis_us, redis_cpu_us) = redis.time()?.per_job_since(before, jobs);
    let finished = usize::try_from(crew.succeeded())?;
    let counters: Vec<_> = crew
        .metrics
        .numbers()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    crew.stop().await?;
    if statements {
        eprintln!(
            "bench:   {slots} slots\n  {}",
            home.statements().await?.join("\n  ")
        );
    }
    if complete {
        let recorded = home
            .number("select count(*) from jobs where state = 'succeeded'")
            .await?;
        ensure!(
            recorded == i64::try_from(jobs)?,
            "{recorded} of {jobs} jobs are recorded as succeeded"
        );
    }
    Ok(json!({
        "jobs": jobs, "finished": finished, "complete": complete, "slots": slots,
        "seconds": took.as_secs_f64(), "per_second": rate(finished, took),
        "worker_cpu_us_per_job": cpu.worker, "postgres_cpu_us_per_job": cpu.postgres,
        "redis_us_per_job": redis_us, "redis_cpu_us_per_job": redis_cpu_us,
        "finished_jobs": "kept", "counters": counters.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    }))
}

/// Processor time, in microseconds.
struct Cpu {
    /// Of this process: worker and scheduler, with the benchmark's own waiting.
    worker: f64,
    /// Of all of PostgreSQL's.
    postgres: f64,
}

impl Cpu {
    fn now(postgres: &Postgres) -> Self {
        Self {
            worker: cpu_seconds(std::process::id()) * 1e6,
            postgres: cpu_seconds_with_children(postgres.pid()) * 1e6,
        }
    }

    fn per_job_since(&self, before: &Self, jobs: usize) -> Self {
        Self {
            worker: (self.worker - before.worker) / jobs as f64,
            postgres: (self.postgres - before.postgres) / jobs as f64,
        }
    }
}

/// Rates of the peers that a budget names.
#[derive(Default)]
struct Beside {
    bullmq_everysec: Option<f64>,
    graphile_500: Option<f64>,
    graphile_5000: Option<f64>,
    awa: Option<f64>,
}

async fn beside(
    bench: &Bench,
    postgres: &Postgres,
    redis: &Redis,
    jobs: usize,
    compared: f64,
    report: &mut Report,
) -> Result<Beside> {
    let always = Redis::start(Fsync::Always)?;
    let mut rates = Beside::default();
    for (server, fsync) in [(redis, Fsync::Everysec), (&always, Fsync::Always)] {
        server.flush()?;
        let settings = [
            ("REDIS_URL", server.url()),
            ("JOBS", jobs.to_string()),
            ("FINISHED", "kept".to_owned()),
        ];
        let row = bench.peers.run(Peer::BullMq, "drain", &settings).await;
        let rate = add(
            report,
            Peer::BullMq,
            row,
            compared,
            &format!("Redis {}", fsync.name()),
        );
        if fsync == Fsync::Everysec {
            rates.bullmq_everysec = rate;
        }
    }
    drop(always);
    for (peer, batch) in [
        (Peer::GraphileWorker, Some(500)),
        (Peer::GraphileWorker, Some(5000)),
        (Peer::PgBoss, Some(5000)),
        (Peer::Awa, None),
    ] {
        let mut settings = vec![
            ("DATABASE_URL", postgres.empty("peer").await?),
            ("JOBS", jobs.to_string()),
        ];
        settings.extend(batch.map(|batch: usize| ("BATCH", batch.to_string())));
        let row = bench.peers.run(peer, "drain", &settings).await;
        let rate = add(report, peer, row, compared, "PostgreSQL");
        match (peer, batch) {
            (Peer::GraphileWorker, Some(500)) => rates.graphile_500 = rate,
            (Peer::GraphileWorker, _) => rates.graphile_5000 = rate,
            (Peer::Awa, _) => rates.awa = rate,
            (Peer::PgBoss | Peer::BullMq | Peer::ApalisRedis, _) => {}
        }
    }
    Ok(rates)
}

/// Adds a peer's row; its rate, if it ran.
fn add(
    report: &mut Report,
    peer: Peer,
    row: Result<Value, String>,
    compared: f64,
    stores: &str,
) -> Option<f64> {
    match row {
        Ok(row) => {
            let rate = number(&row, "per_second");
            let redis = number(&row, "redis_us_per_job");
            let cells = vec![
                text(&row, "batch"),
                text(&row, "finished_jobs"),
                figure(rate),
                ratio(compared, rate),
                if redis.is_nan() {
                    "-".to_owned()
                } else {
                    figure(redis)
                },
                stores.to_owned(),
            ];
            report.row(title(&row), cells, row);
            Some(rate)
        }
        Err(why) => {
            report.missing(peer.name(), &why);
            None
        }
    }
}

fn budgets(compared: f64, peers: &Beside) -> Vec<Budget> {
    let over = |what: &str, peer: Option<f64>, floor: Option<f64>, aim: f64| Budget {
        what: format!("{COMPARED} slots over {what}"),
        got: peer.map(|rate| compared / rate),
        floor,
        aim,
        unit: "x",
        at_most: false,
    };
    vec![
        over(
            "BullMQ everysec, completed kept",
            peers.bullmq_everysec,
            Some(0.6),
            1.2,
        ),
        over("awa", peers.awa, Some(1.0), 1.0),
        over(
            "graphile-worker localQueue 500",
            peers.graphile_500,
            None,
            1.2,
        ),
        over(
            "graphile-worker localQueue 5,000",
            peers.graphile_5000,
            None,
            0.5,
        ),
    ]
}
