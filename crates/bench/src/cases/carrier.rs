//! Hints alone: popped and answered with a no-op body, no database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use patchbay_core::{
    clock::SystemClock,
    hints::{HINTS_PER_TURN, Hints, RedisHints},
    ids::{DeploymentId, JobId, OrgId},
    job::Queue,
    store::jobs::Due,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Bench,
    measure::rate,
    peers::{Peer, number, text, title},
    servers::{Fsync, Redis},
    table::{Budget, Report, figure, ratio},
};

/// Hints in one pop. As many as BullMQ's concurrency; and as many as a worker of 500 slots asks for.
const BATCHES: [usize; 2] = [COMPARED, 500];
const COMPARED: usize = 100;
/// Tenants of our rows: as many as a million hints need, since a list holds a thousand.
const ORGS: usize = 1_000;
/// Hints that a row is measured with at least.
const LEAST: usize = 100_000;
/// Pops in flight, as the worker's driver has them.
const POPPERS: usize = 2;

pub async fn run(bench: &Bench) -> Result<Report> {
    let sizes: Vec<usize> = if bench.quick {
        vec![1_000, 20_000, 100_000]
    } else {
        vec![1_000, 100_000, 1_000_000]
    };
    let redis = Redis::start(Fsync::Everysec)?;
    let mut report = Report::new(
        "carrier",
        "hints alone, a no-op body each, no database",
        &[
            "queue",
            "queued",
            "orgs",
            "batch",
            "finished jobs",
            "jobs/s",
            "patchbay/it",
            "Redis us/job",
            "Redis CPU us/job",
        ],
    );
    report.method = format!(
        "Redis everysec. Ours: {POPPERS} pops in flight, a task for each body. Ratios and budgets: {COMPARED} hints a \
         pop, {ORGS} orgs however many are queued (a pop then takes one hint of each of {COMPARED} orgs, its dearest \
         shape; a thousand queued are filled and drained a hundred times), beside BullMQ with finished jobs removed, at the same number queued."
    );
    let mut ours = Vec::new();
    for queued in &sizes {
        for batch in BATCHES {
            let row = drain(&redis, *queued, ORGS, batch).await?;
            let compared = batch == COMPARED;
            add_ours(&mut report, &row, compared);
            if compared {
                ours.push((*queued, row));
            }
        }
    }
    add_ours(
        &mut report,
        &drain(&redis, HINTS_PER_TURN, 1, COMPARED).await?,
        false,
    );
    let mut bullmq = None;
    for (queued, our) in &ours {
        redis.flush()?;
        let settings = [
            ("REDIS_URL", redis.url()),
            ("JOBS", queued.to_string()),
            ("FINISHED", "removed".to_owned()),
            ("MAX_SECONDS", "150".to_owned()),
        ];
        let row = bench.peers.run(Peer::BullMq, "drain", &settings).await;
        let row = add(&mut report, Peer::BullMq, row, *queued, our);
        if *queued == sizes[1] {
            bullmq = row;
        }
    }
    // As it comes, every lease costs a walk over the backlog: a deep queue is never drained.
    for (queued, lock_tasks) in [(sizes[0], true), (sizes[1], false)] {
        redis.flush()?;
        let settings = [
            ("REDIS_URL", redis.url()),
            ("JOBS", queued.to_string()),
            ("LOCK_TASKS", lock_tasks.to_string()),
            ("MAX_SECONDS", "60".to_owned()),
        ];
        let row = bench.peers.run(Peer::ApalisRedis, "drain", &settings).await;
        if let Some((_, our)) = ours.iter().find(|(size, _)| *size == queued) {
            add(&mut report, Peer::ApalisRedis, row, queued, our);
        }
    }
    for budget in budgets(&sizes, &ours, bullmq.as_ref()) {
        report.budget(budget);
    }
    Ok(report)
}

fn add_ours(report: &mut Report, row: &Value, compared: bool) {
    let cells = vec![
        figure(number(row, "queued")),
        number(row, "orgs").to_string(),
        format!("pop {}", number(row, "batch")),
        "none".to_owned(),
        figure(number(row, "per_second")),
        if compared { "1" } else { "-" }.to_owned(),
        figure(number(row, "redis_us_per_job")),
        figure(number(row, "redis_cpu_us_per_job")),
    ];
    report.row("patchbay", cells, row.clone());
}

fn add(
    report: &mut Report,
    peer: Peer,
    row: Result<Value, String>,
    queued: usize,
    our: &Value,
) -> Option<Value> {
    match row {
        Ok(row) => {
            let rate = number(&row, "per_second");
            let unfinished = row.get("complete") == Some(&Value::Bool(false));
            let cells = vec![
                figure(queued as f64),
                "-".to_owned(),
                text(&row, "batch"),
                if unfinished {
                    format!(
                        "{} (only {} in time)",
                        text(&row, "finished_jobs"),
                        number(&row, "finished")
                    )
                } else {
                    text(&row, "finished_jobs")
                },
                figure(rate),
                ratio(number(our, "per_second"), rate),
                figure(number(&row, "redis_us_per_job")),
                figure(number(&row, "redis_cpu_us_per_job")),
            ];
            report.row(title(&row), cells, row.clone());
            Some(row)
        }
        Err(why) => {
            report.missing(peer.name(), &why);
            None
        }
    }
}

fn budgets(sizes: &[usize], ours: &[(usize, Value)], bullmq: Option<&Value>) -> Vec<Budget> {
    let our = |queued: usize, field: &str| {
        ours.iter()
            .find(|(size, _)| *size == queued)
            .map_or(f64::NAN, |(_, row)| number(row, field))
    };
    let (few, middle, many) = (sizes[0], sizes[1], sizes[2]);
    let growth = |what: &str, field: &str| Budget {
        what: format!(
            "{what} at {} over {}",
            figure(many as f64),
            figure(few as f64)
        ),
        got: Some(our(many, field) / our(few, field)),
        floor: Some(1.3),
        aim: 1.1,
        unit: "x",
        at_most: true,
    };
    vec![
        Budget {
            what: format!("jobs/s over BullMQ at {}", figure(middle as f64)),
            got: bullmq.map(|row| our(middle, "per_second") / number(row, "per_second")),
            floor: Some(3.0),
            aim: 5.0,
            unit: "x",
            at_most: false,
        },
        Budget {
            what: format!("Redis us/job over BullMQ's at {}", figure(middle as f64)),
            got: bullmq
                .map(|row| our(middle, "redis_us_per_job") / number(row, "redis_us_per_job")),
            floor: Some(1.0 / 3.0),
            aim: 1.0 / 5.0,
            unit: "x",
            at_most: true,
        },
        growth("Redis us/job", "redis_us_per_job"),
        // Commandstats hold the time in which a busy machine ran something else.
        growth("Redis CPU us/job", "redis_cpu_us_per_job"),
    ]
}

/// A few milliseconds tell nothing: a short backlog is filled and drained again and again.
async fn drain(redis: &Redis, queued: usize, orgs: usize, batch: usize) -> Result<Value> {
    let rounds = LEAST.div_ceil(queued);
    let (mut seconds, mut redis_us, mut redis_cpu_us) = (0.0, 0.0, 0.0);
    for _ in 0..rounds {
        let (took, us, cpu_us) = round(redis, queued, orgs, batch).await?;
        seconds += took.as_secs_f64();
        redis_us += us / rounds as f64;
        redis_cpu_us += cpu_us / rounds as f64;
    }
    let finished = queued * rounds;
    Ok(json!({
        "queued": queued, "orgs": orgs, "batch": batch, "rounds": rounds, "seconds": seconds,
        "per_second": rate(finished, Duration::from_secs_f64(seconds)),
        "redis_us_per_job": redis_us, "redis_cpu_us_per_job": redis_cpu_us,
    }))
}

/// How long one backlog takes, and what of Redis's time a job takes in it, by its own count
/// and by its processor's.
async fn round(
    redis: &Redis,
    queued: usize,
    orgs: usize,
    batch: usize,
) -> Result<(Duration, f64, f64)> {
    redis.flush()?;
    let hints = Arc::new(RedisHints::open(&redis.url(), DeploymentId::new(&SystemClock)).await?);
    let each = queued.div_ceil(orgs);
    ensure!(
        each <= HINTS_PER_TURN,
        "a list holds {HINTS_PER_TURN} hints, {each} were asked for"
    );
    for first in (0..queued).step_by(each) {
        let turn = OrgId::new(&SystemClock);
        let due: Vec<Due> = (first..queued.min(first + each))
            .map(|_| Due {
                job: JobId::new(&SystemClock),
                turn,
            })
            .collect();
        hints.push(Queue::Sync, &due).await?;
    }
    let done = Arc::new(AtomicUsize::new(0));
    let before = redis.time()?;
    let start = Instant::now();
    let mut poppers = JoinSet::new();
    for _ in 0..POPPERS {
        poppers.spawn(pop_until_empty(
            Arc::clone(&hints),
            batch,
            Arc::clone(&done),
        ));
    }
    while let Some(ended) = poppers.join_next().await {
        ended??;
    }
    let took = start.elapsed();
    let finished = done.load(Ordering::Relaxed);
    ensure!(finished == queued, "{finished} of {queued} hints came back");
    let (redis_us, redis_cpu_us) = redis.time()?.per_job_since(before, finished);
    Ok((took, redis_us, redis_cpu_us))
}

async fn pop_until_empty(
    hints: Arc<RedisHints>,
    batch: usize,
    done: Arc<AtomicUsize>,
) -> Result<()> {
    let mut bodies = JoinSet::new();
    let give_up = Instant::now() + Duration::from_secs(120);
    loop {
        let popped = hints.pop(Queue::Sync, batch, &[]).await?;
        if popped.due.is_empty() || Instant::now() > give_up {
            return Ok(());
        }
        for due in popped.due {
            bodies.spawn(noop(due));
        }
        while let Some(body) = bodies.join_next().await {
            body?;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn noop(due: Due) -> JobId {
    due.job
}
