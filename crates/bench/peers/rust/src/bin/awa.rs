//! awa 0.6 on PostgreSQL: drain of no-op jobs with one client of 100 workers.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use awa::{
    Client, InsertOpts, JobArgs, JobResult, QueueConfig, QueueStorage, insert::params_with,
    migrations,
};
use bench_peers::{limit, rate, report, seconds, setting, url, without_password};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

const INSERT_BATCH: usize = 1000;
const QUEUE: &str = "bench";
/// Jobs recorded as completed: compact batches, single rows, and what pruning has summed up.
/// awa's own view `awa.jobs` takes up to 9 s to count 5,000 jobs, and its completion hook makes
/// it fetch every job once more (8,000 jobs/s become 300).
const FINISHED: &str = "select (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches where queue = $1)::bigint
      + (select count(*) from awa.done_entries where queue = $1)
      + (select coalesce(sum(pruned_completed_count), 0) from awa.queue_terminal_rollups where queue = $1)::bigint";

#[derive(Debug, Serialize, Deserialize, JobArgs)]
struct Noop {
    number: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    report("awa", &["drain"], async |_| drain().await).await
}

async fn drain() -> Result<Value> {
    let url = url("DATABASE_URL")?;
    let pool = PgPoolOptions::new()
        .max_connections(20)
        .acquire_timeout(Duration::from_secs(5))
        .connect(&url)
        .await
        .with_context(|| format!("cannot reach PostgreSQL at {}", without_password(&url)))?;
    let taken: bool =
        sqlx::query_scalar("select exists (select from pg_namespace where nspname = 'awa')")
            .fetch_one(&pool)
            .await?;
    if taken {
        bail!(
            "the database at {} has a schema awa; peers want a database without it and drop it afterwards",
            without_password(&url)
        );
    }
    let outcome = measure(&pool).await;
    sqlx::query("drop schema if exists awa cascade")
        .execute(&pool)
        .await?;
    outcome
}

async fn measure(pool: &PgPool) -> Result<Value> {
    let jobs: usize = setting("JOBS", 100_000)?;
    let concurrency: u32 = setting("CONCURRENCY", 100)?;
    migrations::run(pool).await?;
    // A new install moves to the 0.6 engine when its first worker starts; here jobs come
    // before the worker, so the move is made by hand.
    let moved: bool = sqlx::query_scalar("select awa.storage_auto_finalize_if_fresh('awa')")
        .fetch_one(pool)
        .await?;
    if !moved {
        bail!("awa did not activate its 0.6 storage engine on a new schema");
    }
    // awa's queue storage directly: the general insert runs a function per row and takes a minute
    // for 100,000 jobs.
    let storage = QueueStorage::from_existing_schema("awa")?;
    for first in (0..jobs).step_by(INSERT_BATCH) {
        let batch = (first..(first + INSERT_BATCH).min(jobs))
            .map(|number| {
                params_with(
                    &Noop {
                        number: number as u64,
                    },
                    InsertOpts {
                        queue: QUEUE.into(),
                        ..InsertOpts::default()
                    },
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        storage.enqueue_params_copy(pool, &batch).await?;
    }
    // No `vacuum analyze` here: with fresh statistics the drain is 40 % slower.

    let started = Arc::new(AtomicUsize::new(0));
    let count = started.clone();
    let queue = QueueConfig {
        max_workers: concurrency,
        ..QueueConfig::default()
    };
    let claim_batch = queue.claim_batch_size;
    let client = Client::builder(pool.clone())
        .queue(QUEUE, queue)
        .register::<Noop, _, _>(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(JobResult::Completed) }
        })
        .build()?;
    let start = Instant::now();
    client.start().await?;
    let deadline = start + limit()?;
    let mut finished = 0;
    while finished < jobs && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if started.load(Ordering::Relaxed) >= jobs || Instant::now() >= deadline {
            finished = usize::try_from(
                sqlx::query_scalar::<_, i64>(FINISHED)
                    .bind(QUEUE)
                    .fetch_one(pool)
                    .await?,
            )?;
        }
    }
    let took = start.elapsed();
    client.shutdown(Duration::from_secs(10)).await;
    Ok(json!({
        "peer": "awa", "version": "0.6.9", "case": "drain",
        "jobs": jobs, "finished": finished, "complete": finished == jobs,
        "seconds": seconds(took), "per_second": rate(finished, took),
        "batch": format!("COPY {INSERT_BATCH}, claim at most {claim_batch}"),
        "concurrency": concurrency, "finished_jobs": "kept",
    }))
}
