//! A job that two processes have died under has a process to itself.

use std::{sync::Arc, time::Duration};

use patchbay_core::{hints::MemoryHints, ids::JobId, job::JobState};

use tokio::time::timeout;

use super::stage::{Stage, noop, sleep_ms};

/// A look is due within eight seconds, and bodies have ten.
const A_MINUTE: Duration = Duration::from_secs(60);

/// A job with two deaths that waits and is due.
async fn suspect(stage: &Stage, run_ms: u64) -> JobId {
    let mut job = noop(stage.org().await, sleep_ms(run_ms));
    job.delay = Duration::from_secs(3_600);
    let id = stage.enqueue_unhinted(vec![job]).await[0];
    let due = format!(
        "update jobs set crashes = 2, run_at = created_at where id = {}",
        literal(stage, id)
    );
    stage.sql(&due).await;
    id
}

/// An id as the database's SQL has it.
fn literal(stage: &Stage, id: JobId) -> String {
    if stage.url().starts_with("sqlite") {
        format!("x'{}'", id.0.simple())
    } else {
        format!("'{id}'")
    }
}

async fn it_runs_alone_and_the_others_go_on(stage: Stage) {
    let org = stage.org().await;
    let worker = stage.worker(4);
    let long = stage.enqueue(org, 3, sleep_ms(120_000)).await;
    stage.until_all(&long, JobState::Running).await;
    let suspect = suspect(&stage, 700).await;
    let ran = async || {
        let state = async || stage.job(suspect).await.state;
        let ran = state().await == JobState::Running;
        let beside = stage.count_in(&long, JobState::Running).await;
        let runs = state().await == JobState::Running;
        assert!(!(ran && runs) || beside == 0, "{beside} run beside it");
        state().await == JobState::Succeeded
    };
    let makes_room = async {
        while !ran().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(A_MINUTE, makes_room).await.expect("it runs");
    assert_eq!(stage.job(suspect).await.crashes, 0);
    stage.until_all(&long, JobState::Running).await;
    for id in long {
        let job = stage.job(id).await;
        assert_eq!((job.attempt, job.crashes), (0, 0), "given back uncharged");
    }
    let fresh = stage.enqueue(org, 1, sleep_ms(1)).await;
    stage.until_all(&fresh, JobState::Succeeded).await;
    worker.stop().await;
}

#[tokio::test]
async fn it_runs_alone_and_the_others_go_on_on_sqlite() {
    it_runs_alone_and_the_others_go_on(Stage::on_sqlite().await).await;
}

#[tokio::test]
async fn it_runs_alone_and_the_others_go_on_on_postgres() {
    it_runs_alone_and_the_others_go_on(Stage::on_postgres(Arc::new(MemoryHints::new())).await)
        .await;
}

#[tokio::test]
async fn of_two_processes_one_makes_room_and_the_other_works_on() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let suspect = suspect(&stage, 60_000).await;
    let (one, two) = (stage.worker(2), stage.worker(2));
    stage.until_all(&[suspect], JobState::Running).await;
    let others = stage.enqueue(stage.org().await, 6, sleep_ms(5)).await;
    stage.until_all(&others, JobState::Succeeded).await;
    assert_eq!(stage.job(suspect).await.state, JobState::Running);
    one.stop().await;
    two.stop().await;
}
