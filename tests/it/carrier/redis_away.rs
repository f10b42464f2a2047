//! Work goes on without Redis, and nothing is lost when it forgets.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use patchbay_core::job::JobState;
use patchbay_tests::{RedisServer, TestRedis};
use serde_json::json;

use super::stage::{Stage, redis_hints, sleep_ms, until};

#[tokio::test]
async fn a_flush_in_the_middle_loses_nothing() {
    let redis = TestRedis::fresh();
    let stage = Stage::on_postgres(Arc::new(redis_hints(redis.url()).await)).await;
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.extend(stage.enqueue(stage.org().await, 100, sleep_ms(10)).await);
    }
    let worker = stage.worker(4);
    until("some ran", async || {
        stage.count_in(&jobs, JobState::Succeeded).await > 20
    })
    .await;
    redis.flush().unwrap();
    stage.until_all(&jobs, JobState::Succeeded).await;
    worker.stop().await;
}

#[tokio::test]
async fn work_goes_on_within_five_seconds_when_redis_is_killed_and_after_it_is_back() {
    let mut server = RedisServer::start().await.unwrap();
    let stage = Stage::on_postgres(Arc::new(redis_hints(&server.url()).await)).await;
    let org = stage.org().await;
    let before = stage.enqueue(org, 200, sleep_ms(10)).await;
    let worker = stage.worker(4);
    until("some ran", async || {
        stage.count_in(&before, JobState::Succeeded).await > 20
    })
    .await;
    server.kill().unwrap();
    let killed_at = Instant::now();
    let during = stage.enqueue(org, 1, json!({})).await;
    until("a job after the kill", async || {
        stage.count_in(&before, JobState::Succeeded).await > 60
    })
    .await;
    assert!(
        killed_at.elapsed() < Duration::from_secs(5),
        "took {:?}",
        killed_at.elapsed()
    );
    stage.until_all(&before, JobState::Succeeded).await;
    stage.until_all(&during, JobState::Succeeded).await;

    server.restart().await.unwrap();
    until("Redis is found again", async || {
        stage.ctx.hints.ping().await.is_ok()
    })
    .await;
    let before = worker.count("claimed_from_hints");
    until("hints are used again", async || {
        let jobs = stage.enqueue(org, 1, json!({})).await;
        stage.until_all(&jobs, JobState::Succeeded).await;
        worker.count("claimed_from_hints") > before
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_never_saw_redis_works_fairly() {
    let nobody = patchbay_tests::free_port();
    let hints = redis_hints(&format!("redis://127.0.0.1:{nobody}/0")).await;
    let stage = Stage::on_postgres(Arc::new(hints)).await;
    let flood = stage.enqueue(stage.org().await, 400, sleep_ms(20)).await;
    let small = stage.enqueue(stage.org().await, 2, json!({})).await;
    let worker = stage.worker(2);
    stage.until_all(&small, JobState::Succeeded).await;
    assert!(
        stage.count_in(&flood, JobState::Succeeded).await < 200,
        "the small org did not wait for the flood"
    );
    worker.stop().await;
}
