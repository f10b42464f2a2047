//! Schedulers make due work visible and take back what dead processes held.

use std::sync::Arc;

use patchbay_core::{
    clock::SystemClock,
    hints::MemoryHints,
    ids::ProcessId,
    job::{JobState, Queue},
};
use patchbay_scheduler::{Identity, SchedulerDeps};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::stage::{Stage, noop, until};

struct RunningScheduler {
    deps: SchedulerDeps,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl RunningScheduler {
    fn on(stage: &Stage) -> Self {
        let ctx = &stage.ctx;
        let identity = Identity::Own {
            host: "test".into(),
        };
        let deps = SchedulerDeps::new(
            ctx.store.clone(),
            Arc::clone(&ctx.hints),
            Arc::clone(&ctx.clock),
            identity,
        );
        let stop = CancellationToken::new();
        let ended = tokio::spawn(patchbay_scheduler::run(deps.clone(), stop.clone()));
        Self { deps, stop, ended }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }
}

#[tokio::test]
async fn due_jobs_without_hints_get_them_and_no_more_than_needed() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let (one, two) = (stage.org().await, stage.org().await);
    let mut new = vec![noop(one, json!({})); 3];
    new.extend(vec![noop(two, json!({})); 2]);
    let mut jobs = stage.enqueue_unhinted(new).await;
    let scheduler = RunningScheduler::on(&stage);
    let hints = &stage.ctx.hints;
    until("hints for all", async || {
        hints.depth(Queue::Interactive, &[one, two]).await.unwrap() == [3, 2]
    })
    .await;
    let rounds = async || {
        scheduler
            .deps
            .reports
            .all()
            .get("top_up")
            .and_then(|report| report.last_success)
    };
    let seen = rounds().await;
    until("another round", async || rounds().await > seen).await;
    assert_eq!(
        hints.depth(Queue::Interactive, &[one, two]).await.unwrap(),
        [3, 2],
        "not doubled"
    );
    let popped = hints.pop(Queue::Interactive, 10, &[]).await.unwrap().due;
    let mut hinted: Vec<_> = popped.iter().map(|hint| hint.job).collect();
    hinted.sort_unstable();
    jobs.sort_unstable();
    assert_eq!(hinted, jobs);
    scheduler.stop().await;
}

#[tokio::test]
async fn jobs_of_a_dead_process_run_again_elsewhere() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let jobs = stage
        .enqueue_unhinted(vec![noop(stage.org().await, json!({})); 2])
        .await;
    let dead = ProcessId::new(&SystemClock);
    let store = stage.ctx.store.jobs();
    store.register(dead, "worker", "test").await.unwrap();
    assert_eq!(
        store
            .claim(dead, Queue::Interactive, &jobs)
            .await
            .unwrap()
            .len(),
        2
    );
    let scheduler = RunningScheduler::on(&stage);
    let worker = stage.worker(2);
    stage.until_all(&jobs, JobState::Succeeded).await;
    let job = stage.job(jobs[0]).await;
    assert_eq!((job.lease_epoch, job.attempt), (2, 0));
    worker.stop().await;
    scheduler.stop().await;
}

#[tokio::test]
async fn a_missing_database_is_reported_and_ends_nothing() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let scheduler = RunningScheduler::on(&stage);
    stage.sql("alter table jobs rename to jobs_hidden").await;
    let errors = async || {
        scheduler
            .deps
            .reports
            .all()
            .get("top_up")
            .map_or(0, |report| report.errors)
    };
    until("errors are counted", async || errors().await >= 2).await;
    stage.sql("alter table jobs_hidden rename to jobs").await;
    until("it works again", async || {
        scheduler
            .deps
            .reports
            .all()
            .get("top_up")
            .is_some_and(|report| report.last_error.is_none())
    })
    .await;
    scheduler.stop().await;
}
