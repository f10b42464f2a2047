//! A job that two processes have died under has a process to itself.

use std::{sync::Arc, time::Duration};

use patchbay_core::{hints::MemoryHints, ids::JobId, job::JobState};

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::stage::{Stage, noop, sleep_ms};

/// A look is due within eight seconds, and bodies have ten.
const A_MINUTE: Duration = Duration::from_secs(60);

/// What a drill writes; a fault test makes it.
const DRILL_EFFECTS: &str = "create table drill_effects (job_id uuid not null, step bigint not null, epoch bigint not null)";

/// A job with two deaths that waits and is due.
pub async fn suspect(stage: &Stage, run_ms: u64) -> JobId {
    suspect_of(stage, sleep_ms(run_ms)).await
}

async fn suspect_of(stage: &Stage, args: Value) -> JobId {
    let mut job = noop(stage.org().await, args);
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

/// Whether a process makes room, as the rest of the fleet sees it.
async fn room_is_made(stage: &Stage) -> bool {
    use patchbay_core::entities::process;
    let makes_room = process::Column::AloneWith.is_not_null();
    let found = process::Entity::find()
        .filter(makes_room)
        .filter(process::Column::EndedAt.is_null());
    found.count(stage.ctx.store.db()).await.unwrap() > 0
}

pub async fn within_a_minute(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = timeout(A_MINUTE, waiting).await;
    outcome.unwrap_or_else(|_| panic!("never came true: {what}"));
}

async fn a_process_that_does_not_get_empty_leaves_it_to_another(stage: Stage) {
    let org = stage.org().await;
    let busy = stage.worker(2);
    let args = json!({ "stubborn_ms": 600_000 });
    let stubborn = stage.enqueue(org, 1, args).await;
    stage.until_all(&stubborn, JobState::Running).await;
    let suspect = suspect(&stage, 1).await;
    within_a_minute("room is made", async || room_is_made(&stage).await).await;
    let fresh = stage.enqueue(org, 1, sleep_ms(1)).await;
    within_a_minute("it is given back", async || !room_is_made(&stage).await).await;
    stage.until_all(&fresh, JobState::Succeeded).await;
    assert_eq!(stage.job(suspect).await.state, JobState::Queued);
    let other = stage.worker(2);
    let ran = async || stage.job(suspect).await.state == JobState::Succeeded;
    within_a_minute("it runs elsewhere", ran).await;
    let stubborn = stage.job(stubborn[0]).await;
    assert_eq!(
        (stubborn.state, stubborn.lease_epoch),
        (JobState::Running, 1)
    );
    other.stop().await;
    busy.stop().await;
}

#[tokio::test]
async fn a_process_that_does_not_get_empty_leaves_it_to_another_on_sqlite() {
    a_process_that_does_not_get_empty_leaves_it_to_another(Stage::on_sqlite().await).await;
}

#[tokio::test]
async fn a_process_that_does_not_get_empty_leaves_it_to_another_on_postgres() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    a_process_that_does_not_get_empty_leaves_it_to_another(stage).await;
}

/// Its progress is written and its commit takes a while: the row still names two deaths.
#[tokio::test]
async fn progress_gives_the_room_back_only_once_it_is_committed() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let slow = "
        create function slow() returns trigger language plpgsql as $$
        begin perform pg_sleep(3); return null; end $$";
    stage.sql(slow).await;
    let at_commit = "
        create constraint trigger slow after update of progress_no on jobs
        deferrable initially deferred for each row execute function slow()";
    stage.sql(at_commit).await;
    stage.sql(DRILL_EFFECTS).await;
    let args = json!({ "drill": { "steps": 1, "pause_ms": 600_000 } });
    let suspect = suspect_of(&stage, args).await;
    let worker = stage.worker(2);
    stage.until_all(&[suspect], JobState::Running).await;
    let mut looks = 0;
    loop {
        // In this order: what is committed later is no excuse.
        let made = room_is_made(&stage).await;
        if stage.job(suspect).await.progress_no > 0 {
            break;
        }
        assert!(made, "its progress is not committed");
        looks += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(looks > 20, "the commit took its time");
    within_a_minute("the room is given back", async || {
        !room_is_made(&stage).await
    })
    .await;
    assert_eq!(stage.job(suspect).await.state, JobState::Running);
    worker.stop().await;
}
