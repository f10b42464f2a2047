//! Whom the slots of a queue go to.

use std::sync::Arc;

use patchbay_core::{hints::MemoryHints, job::JobState};
use serde_json::json;

use super::stage::{Stage, sleep_ms, until};

#[tokio::test]
async fn no_more_jobs_are_claimed_than_slots_are_free() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    let jobs = stage.enqueue(org, 6, sleep_ms(60_000)).await;
    let worker = stage.worker(3);
    worker.until_begun(3).await;
    assert_eq!(stage.count_in(&jobs, JobState::Running).await, 3);
    let tx = stage.ctx.store.begin().await.unwrap();
    stage
        .ctx
        .store
        .jobs()
        .cancel(&tx, org, jobs[0])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    worker.until_begun(4).await;
    assert_eq!(stage.count_in(&jobs, JobState::Running).await, 3);
    worker.stop().await;
}

#[tokio::test]
async fn long_jobs_of_one_org_leave_a_quarter_to_newcomers_while_several_wait() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let (flood, second, newcomer) = (stage.org().await, stage.org().await, stage.org().await);
    let mut long = stage.enqueue(flood, 20, sleep_ms(60_000)).await;
    long.extend(stage.enqueue(second, 20, sleep_ms(60_000)).await);
    let worker = stage.worker(8);
    until("the open slots are taken", async || {
        stage.count_in(&long, JobState::Running).await >= 6
    })
    .await;
    let short = stage.enqueue(newcomer, 1, json!({})).await;
    stage.until_all(&short, JobState::Succeeded).await;
    worker.stop().await;
}

#[tokio::test]
async fn one_org_alone_has_every_slot() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let jobs = stage.enqueue(stage.org().await, 8, sleep_ms(60_000)).await;
    let worker = stage.worker(8);
    stage.until_all(&jobs, JobState::Running).await;
    worker.stop().await;
}
