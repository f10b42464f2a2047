//! apalis-redis 1.0.0: drain of no-op jobs.
//!
//! Two things about it shape this file. Every push passes through the scheduled set, and a
//! fetch that finds about 8,000 due tasks there fails for good (its script unpacks them all),
//! so each pushed batch is moved to the active list here as its fetch would have done.
//! With `lock_tasks` (its default) every lease is an `LREM` over the backlog, so a deep
//! queue drains too slowly to wait for: `MAX_SECONDS` ends the run, and `finished` tells how
//! far it came.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use bench_peers::{
    RedisTime, limit, must_be_empty, rate, report, seconds, setting, url, without_password,
};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde_json::{Value, json};

const PUSH_BATCH: usize = 1000;

#[tokio::main]
async fn main() -> ExitCode {
    report("apalis-redis", &["drain"], async |_| drain().await).await
}

async fn drain() -> Result<Value> {
    let url = url("REDIS_URL")?;
    // For queueing, counting and emptying. The worker's own connection keeps the default of
    // 500 ms, which emptying a deep queue exceeds.
    let patient = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_response_timeout(Some(Duration::from_secs(60)));
    let mut conn = redis::Client::open(url.as_str())?
        .get_connection_manager_with_config(patient)
        .await
        .with_context(|| format!("cannot reach Redis at {}", without_password(&url)))?;
    must_be_empty(&mut conn, &url).await?;
    let outcome = measure(&url, &mut conn).await;
    redis::cmd("FLUSHDB")
        .query_async::<()>(&mut conn)
        .await
        .context("cannot empty the database again")?;
    outcome
}

async fn measure(url: &str, conn: &mut ConnectionManager) -> Result<Value> {
    let jobs: usize = setting("JOBS", 100_000)?;
    let batch: usize = setting("BATCH", 100)?;
    let concurrency: usize = setting("CONCURRENCY", 100)?;
    let lock_tasks: bool = setting("LOCK_TASKS", true)?;
    let config = Config::default()
        .queue("bench")
        .batch_size(batch)
        .lock_tasks(lock_tasks);
    let storage =
        RedisStorage::<u64>::new(apalis_redis::connect(url).await?).with_config(config.clone());
    enqueue(storage.clone(), conn, &config, jobs).await?;

    let started = Arc::new(AtomicUsize::new(0));
    let count = started.clone();
    let before = RedisTime::now(conn).await?;
    let start = Instant::now();
    let worker = WorkerBuilder::new("drain")
        .backend(storage)
        .concurrency(concurrency)
        .build(move |_: u64| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok::<(), BoxDynError>(()) }
        });
    let mut worker = tokio::spawn(worker.run());
    let deadline = start + limit()?;
    let mut done = 0;
    while done < jobs && Instant::now() < deadline {
        if worker.is_finished() {
            bail!(
                "the worker ended after {done} of {jobs} jobs: {:?}",
                (&mut worker).await
            );
        }
        // Counted in Redis only near the end: a job is finished when its result is stored there.
        tokio::time::sleep(Duration::from_millis(2)).await;
        if started.load(Ordering::Relaxed) >= jobs || Instant::now() >= deadline {
            done = redis::cmd("SCARD")
                .arg(config.done_jobs_set())
                .query_async(conn)
                .await?;
        }
    }
    let took = start.elapsed();
    let after = RedisTime::now(conn).await?;
    worker.abort();
    if done == 0 {
        bail!("no job finished within {} s", took.as_secs());
    }
    let (redis_us, redis_cpu_us) = after.since(before, done);
    Ok(json!({
        "peer": "apalis-redis", "version": "1.0.0", "case": "drain",
        "jobs": jobs, "finished": done, "complete": done == jobs,
        "seconds": seconds(took), "per_second": rate(done, took),
        "batch": format!("push {PUSH_BATCH}, fetch {batch}, lock_tasks {lock_tasks}"),
        "concurrency": concurrency, "finished_jobs": "kept",
        "redis_us_per_job": redis_us, "redis_cpu_us_per_job": redis_cpu_us,
    }))
}

async fn enqueue(
    mut storage: RedisStorage<u64>,
    conn: &mut ConnectionManager,
    config: &Config,
    jobs: usize,
) -> Result<()> {
    for first in (0..jobs).step_by(PUSH_BATCH) {
        let last = (first + PUSH_BATCH).min(jobs);
        storage
            .push_bulk((first as u64..last as u64).collect())
            .await
            .map_err(|error| anyhow::anyhow!("push failed: {error}"))?;
        let ids: Vec<String> = redis::cmd("ZRANGE")
            .arg(config.scheduled_jobs_set())
            .arg(0)
            .arg(-1)
            .query_async(conn)
            .await?;
        if !ids.is_empty() {
            redis::pipe()
                .cmd("RPUSH")
                .arg(config.active_jobs_list())
                .arg(&ids)
                .ignore()
                .cmd("DEL")
                .arg(config.scheduled_jobs_set())
                .ignore()
                .query_async::<()>(conn)
                .await?;
        }
    }
    let queued: usize = redis::cmd("LLEN")
        .arg(config.active_jobs_list())
        .query_async(conn)
        .await?;
    if queued != jobs {
        bail!("{queued} jobs are queued where {jobs} were pushed");
    }
    Ok(())
}
