//! Step 5: no row, no effect.

use patchbay_core::{
    job::{Lease, Settle},
    progress::Progress,
};
use serde_json::json;

use crate::{
    on_both,
    stage::{Stage, noop, succeed},
};

on_both! {
    the_holder_of_the_lease_passes,
    a_stale_epoch_does_not_pass,
    a_cancelled_job_does_not_pass,
    an_ended_job_does_not_pass,
    a_rescued_job_does_not_pass,
    a_checkpoint_stores_progress_and_cursor_and_clears_crashes,
    a_checkpoint_without_a_cursor_keeps_the_last_one,
    a_checkpoint_that_rolls_back_leaves_nothing,
    a_checkpoint_behind_a_stale_epoch_writes_nothing,
}

async fn passes(stage: &Stage, lease: Lease) -> bool {
    let tx = stage.store.begin().await.unwrap();
    let passes = stage.jobs().fence(&tx, lease).await.unwrap();
    tx.commit().await.unwrap();
    passes
}

async fn running(stage: &Stage) -> Lease {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    stage.start(me, job.id).await
}

fn progress(done: u64) -> Progress {
    Progress {
        stage: "fetching".into(),
        done,
        unit: "records".into(),
        ..Progress::default()
    }
}

async fn checkpoint(stage: &Stage, lease: Lease, done: u64, cursor: Option<serde_json::Value>) {
    let tx = stage.store.begin().await.unwrap();
    stage
        .jobs()
        .checkpoint(&tx, lease, &progress(done), cursor.as_ref())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn the_holder_of_the_lease_passes(stage: Stage) {
    let lease = running(&stage).await;
    assert!(passes(&stage, lease).await);
}

async fn a_stale_epoch_does_not_pass(stage: Stage) {
    let stale = running(&stage).await;
    stage.settle(stale, Settle::Release).await.unwrap();
    let me = stage.worker().await;
    let current = stage.start(me, stale.job).await;
    assert!(!passes(&stage, stale).await);
    assert!(passes(&stage, current).await);
}

async fn a_cancelled_job_does_not_pass(stage: Stage) {
    let lease = running(&stage).await;
    let org = stage.row(lease.job).await.org_id.unwrap();
    stage.cancel(org, lease.job).await;
    assert!(!passes(&stage, lease).await);
}

async fn an_ended_job_does_not_pass(stage: Stage) {
    let lease = running(&stage).await;
    stage.settle(lease, succeed()).await.unwrap();
    assert!(!passes(&stage, lease).await);
}

async fn a_rescued_job_does_not_pass(stage: Stage) {
    let lease = running(&stage).await;
    stage.everyone_dies().await;
    assert!(!passes(&stage, lease).await);
}

async fn a_checkpoint_stores_progress_and_cursor_and_clears_crashes(stage: Stage) {
    let first = running(&stage).await;
    stage.everyone_dies().await;
    let me = stage.worker().await;
    let lease = stage.start(me, first.job).await;
    assert_eq!(stage.row(lease.job).await.crashes, 1);
    checkpoint(&stage, lease, 10, Some(json!({ "page": 1 }))).await;
    checkpoint(&stage, lease, 20, Some(json!({ "page": 2 }))).await;
    let row = stage.row(lease.job).await;
    assert_eq!((row.crashes, row.progress_no), (0, 2));
    assert_eq!(row.cursor, Some(json!({ "page": 2 })));
    assert_eq!(
        row.progress,
        Some(serde_json::to_value(progress(20)).unwrap())
    );
}

async fn a_checkpoint_without_a_cursor_keeps_the_last_one(stage: Stage) {
    let lease = running(&stage).await;
    checkpoint(&stage, lease, 10, Some(json!({ "page": 1 }))).await;
    checkpoint(&stage, lease, 11, None).await;
    assert_eq!(
        stage.row(lease.job).await.cursor,
        Some(json!({ "page": 1 }))
    );
}

async fn a_checkpoint_that_rolls_back_leaves_nothing(stage: Stage) {
    let lease = running(&stage).await;
    let tx = stage.store.begin().await.unwrap();
    stage
        .jobs()
        .checkpoint(&tx, lease, &progress(5), None)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(stage.row(lease.job).await.progress_no, 0);
}

async fn a_checkpoint_behind_a_stale_epoch_writes_nothing(stage: Stage) {
    let lease = running(&stage).await;
    checkpoint(
        &stage,
        Lease {
            epoch: lease.epoch - 1,
            ..lease
        },
        5,
        None,
    )
    .await;
    assert_eq!(stage.row(lease.job).await.progress_no, 0);
}
