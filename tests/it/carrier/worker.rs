//! A worker runs what is due, whatever a body does.

use std::{sync::Arc, time::Instant};

use patchbay_core::{
    events::EventKind, hints::MemoryHints, job::JobState, store::events::EventFilter,
};
use patchbay_tests::TestRedis;
use serde_json::json;

use super::stage::{Stage, noop, redis_hints, sleep_ms, until};

#[tokio::test]
async fn jobs_of_several_orgs_succeed_with_redis() {
    let redis = TestRedis::fresh();
    runs_jobs_of_several_orgs(Stage::on_postgres(Arc::new(redis_hints(redis.url()).await)).await)
        .await;
}

#[tokio::test]
async fn jobs_of_several_orgs_succeed_in_one_process_on_postgres() {
    runs_jobs_of_several_orgs(Stage::on_postgres(Arc::new(MemoryHints::new())).await).await;
}

#[tokio::test]
async fn jobs_of_several_orgs_succeed_in_one_process_on_sqlite() {
    runs_jobs_of_several_orgs(Stage::on_sqlite().await).await;
}

async fn runs_jobs_of_several_orgs(stage: Stage) {
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.extend(stage.enqueue(stage.org().await, 100, json!({})).await);
    }
    let worker = stage.worker(20);
    stage.until_all(&jobs, JobState::Succeeded).await;
    let done = stage.job(jobs[0]).await;
    assert_eq!(
        (done.attempt, done.lease_epoch, done.result),
        (0, 1, Some(json!({})))
    );
    assert!(worker.count("claimed_from_hints") > 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_job_without_a_hint_is_found_in_the_table() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let worker = stage.worker(4);
    let jobs = stage
        .enqueue_unhinted(vec![noop(stage.org().await, json!({})); 3])
        .await;
    stage.until_all(&jobs, JobState::Succeeded).await;
    assert_eq!(worker.count("claimed_from_table"), 3);
    worker.stop().await;
}

#[tokio::test]
async fn a_panicking_body_costs_an_attempt_and_its_neighbours_nothing() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    let mut neighbours = stage.enqueue(org, 5, sleep_ms(300)).await;
    let broken = stage
        .enqueue(org, 1, json!({ "panic": "the third wheel came off" }))
        .await[0];
    neighbours.extend(stage.enqueue(org, 5, sleep_ms(300)).await);
    let worker = stage.worker(20);
    stage.until_all(&neighbours, JobState::Succeeded).await;
    until("the panic is settled", async || {
        stage.job(broken).await.attempt == 1
    })
    .await;
    let job = stage.job(broken).await;
    assert_eq!(job.state, JobState::Queued, "tried again later");
    let error = job.error.unwrap();
    assert_eq!(error["kind"], "internal");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("the third wheel came off"),
        "{error}"
    );
    assert_eq!(worker.count("panics"), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_body_past_its_deadline_is_stopped_and_the_attempt_has_failed() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    let mut job = noop(org, sleep_ms(60_000));
    job.timeout = std::time::Duration::from_secs(1);
    job.max_attempts = 1;
    let jobs = stage.enqueue_unhinted(vec![job]).await;
    let worker = stage.worker(1);
    stage.until_all(&jobs, JobState::Failed).await;
    assert_eq!(stage.job(jobs[0]).await.error.unwrap()["kind"], "deadline");
    let filter = EventFilter {
        kind: Some(EventKind::JobFailed),
        ..EventFilter::default()
    };
    let events = stage.ctx.store.events(org, &filter, 10).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.job_id).collect::<Vec<_>>(),
        [Some(jobs[0])]
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_cancelled_body_frees_its_slot_within_two_seconds() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    let worker = stage.worker(1);
    let long = stage.enqueue(org, 1, sleep_ms(60_000)).await;
    stage.until_all(&long, JobState::Running).await;
    let next = stage.enqueue(org, 1, json!({})).await;

    let cancelled_at = Instant::now();
    let tx = stage.ctx.store.begin().await.unwrap();
    stage
        .ctx
        .store
        .jobs()
        .cancel(&tx, org, long[0])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    stage.until_all(&next, JobState::Succeeded).await;
    assert!(
        cancelled_at.elapsed().as_millis() < 2_500,
        "took {:?}",
        cancelled_at.elapsed()
    );
    assert_eq!(stage.job(long[0]).await.state, JobState::Cancelled);
    worker.stop().await;
}

#[tokio::test]
async fn jobs_of_a_lane_run_one_after_the_other_without_pause() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let mut job = noop(stage.org().await, json!({}));
    job.lane = Some("one lane".into());
    let worker = stage.worker(8);
    let began = Instant::now();
    let jobs = stage.enqueue_unhinted(vec![job; 10]).await;
    stage.until_all(&jobs, JobState::Succeeded).await;
    assert!(
        began.elapsed().as_secs() < 8,
        "ten jobs of a lane took {:?}",
        began.elapsed()
    );
    let mut ends = Vec::new();
    for id in &jobs {
        ends.push(stage.job(*id).await.finished_at.unwrap());
    }
    assert!(ends.is_sorted(), "in order: {ends:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_process_declared_dead_goes_on_under_a_new_id() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let mut worker = stage.worker(4);
    let first = worker.process().await;
    let jobs = stage.enqueue(stage.org().await, 2, sleep_ms(2_000)).await;
    stage.until_all(&jobs, JobState::Running).await;
    stage
        .sql(&format!(
            "update processes set ended_at = patchbay_now() where id = '{first}'"
        ))
        .await;
    stage.until_all(&jobs, JobState::Succeeded).await;
    assert_ne!(worker.process().await, first);
    let job = stage.job(jobs[0]).await;
    assert_eq!((job.attempt, job.crashes), (0, 0), "uncharged");
    assert!(job.lease_epoch > 1, "run anew");
    worker.stop().await;
}

#[tokio::test]
async fn suspects_run_one_at_a_time() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let jobs = stage
        .enqueue_unhinted(vec![noop(stage.org().await, sleep_ms(300)); 3])
        .await;
    stage.sql("update jobs set crashes = 1").await;
    let worker = stage.worker(8);
    until("all suspects ran", async || {
        assert!(stage.count_in(&jobs, JobState::Running).await <= 1);
        stage.count_in(&jobs, JobState::Succeeded).await == 3
    })
    .await;
    worker.stop().await;
}
