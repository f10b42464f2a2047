//! Stopping a worker loses nothing and charges nobody.

use std::{sync::Arc, time::Instant};

use patchbay_core::{hints::MemoryHints, ids::ProcessId, job::JobState};
use sea_orm::EntityTrait;
use serde_json::json;

use super::stage::{Stage, sleep_ms};

async fn has_left(stage: &Stage, process: ProcessId) -> bool {
    use patchbay_core::entities::process::Entity;
    Entity::find_by_id(process)
        .one(stage.ctx.store.db())
        .await
        .unwrap()
        .unwrap()
        .ended_at
        .is_some()
}

#[tokio::test]
async fn a_stop_asks_bodies_and_releases_their_jobs_uncharged() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    let mut worker = stage.worker(4);
    let process = worker.process().await;
    let running = stage.enqueue(org, 4, sleep_ms(60_000)).await;
    worker.until_begun(running.len()).await;
    let waiting = stage.enqueue(org, 2, json!({})).await;
    worker.stop().await;
    for id in running.iter().chain(&waiting) {
        let job = stage.job(*id).await;
        assert_eq!(
            (job.state, job.attempt, job.crashes),
            (JobState::Queued, 0, 0)
        );
    }
    assert!(has_left(&stage, process).await);
}

#[tokio::test]
async fn a_body_deaf_to_the_stop_is_dropped_when_its_time_is_up_and_released() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let worker = stage.worker(2);
    let running = stage
        .enqueue(stage.org().await, 1, json!({ "stubborn_ms": 60_000 }))
        .await;
    worker.until_begun(running.len()).await;
    let began = Instant::now();
    worker.stop().await;
    assert!(
        began.elapsed().as_secs() >= 3,
        "it had its time: {:?}",
        began.elapsed()
    );
    let job = stage.job(running[0]).await;
    assert_eq!(
        (job.state, job.attempt, job.crashes),
        (JobState::Queued, 0, 0)
    );
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_still_releases() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let worker = stage.worker(2);
    let running = stage
        .enqueue(stage.org().await, 1, json!({ "stubborn_ms": 60_000 }))
        .await;
    worker.until_begun(running.len()).await;
    let began = Instant::now();
    worker.shutdown.cancel();
    worker.hurry.cancel();
    worker.ended().await;
    assert!(
        began.elapsed().as_secs() < 3,
        "at once: {:?}",
        began.elapsed()
    );
    let job = stage.job(running[0]).await;
    assert_eq!(
        (job.state, job.attempt, job.crashes),
        (JobState::Queued, 0, 0)
    );
}

#[tokio::test]
async fn what_ends_while_the_worker_stops_is_settled() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let worker = stage.worker(2);
    let running = stage
        .enqueue(stage.org().await, 1, json!({ "stubborn_ms": 1_000 }))
        .await;
    worker.until_begun(running.len()).await;
    worker.stop().await;
    assert_eq!(stage.job(running[0]).await.state, JobState::Succeeded);
}

#[tokio::test]
async fn another_worker_goes_on_with_what_was_released() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let worker = stage.worker(2);
    let jobs = stage.enqueue(stage.org().await, 2, sleep_ms(2_000)).await;
    worker.until_begun(2).await;
    let other = stage.worker(2);
    worker.stop().await;
    stage.until_all(&jobs, JobState::Succeeded).await;
    other.stop().await;
}
