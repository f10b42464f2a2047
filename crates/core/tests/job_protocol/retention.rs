//! What is deleted after its time, and what is not.

use std::time::Duration;

use patchbay_core::{
    entities::{job, process},
    ids::{JobId, OrgId},
    job::{NewJob, SealedArgs},
};
use sea_orm::EntityTrait;

use crate::{
    on_both,
    stage::{Stage, fail, noop, succeed},
};

on_both! {
    old_ended_jobs_are_deleted_and_dead_ones_kept,
    no_more_than_the_limit_is_deleted_at_once,
    a_dead_job_keeps_its_secret_for_a_day,
    ended_processes_are_forgotten,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn ended(stage: &Stage, org: OrgId, end: patchbay_core::job::Settle) -> JobId {
    let me = stage.worker().await;
    let sealed = Some(SealedArgs {
        bytes: vec![1],
        key_id: "k".into(),
    });
    let job = stage
        .add(NewJob {
            sealed,
            ..noop(org)
        })
        .await;
    let lease = stage.start(me, job.id).await;
    stage.settle(lease, end).await.unwrap();
    job.id
}

async fn old_ended_jobs_are_deleted_and_dead_ones_kept(stage: Stage) {
    let org = stage.org().await;
    ended(&stage, org, succeed()).await;
    let dead = ended(&stage, org, fail()).await;
    let discarded = ended(&stage, org, fail()).await;
    stage.discard(org, discarded).await;
    let cancelled = stage.add(noop(org)).await.id;
    stage.cancel(org, cancelled).await;
    let queued = stage.add(noop(org)).await.id;
    stage.advance(DAY).await;
    let young = ended(&stage, org, succeed()).await;
    assert_eq!(stage.jobs().prune(DAY, 100).await.unwrap(), 3);
    let mut left: Vec<JobId> = job::Entity::find()
        .all(stage.store.db())
        .await
        .unwrap()
        .iter()
        .map(|job| job.id)
        .collect();
    left.sort_unstable();
    assert_eq!(left, [dead, queued, young]);
}

async fn no_more_than_the_limit_is_deleted_at_once(stage: Stage) {
    let org = stage.org().await;
    for _ in 0..5 {
        ended(&stage, org, succeed()).await;
    }
    stage.advance(DAY).await;
    assert_eq!(
        stage
            .jobs()
            .prune(Duration::from_secs(60), 3)
            .await
            .unwrap(),
        3
    );
    assert_eq!(
        stage
            .jobs()
            .prune(Duration::from_secs(60), 3)
            .await
            .unwrap(),
        2
    );
}

async fn a_dead_job_keeps_its_secret_for_a_day(stage: Stage) {
    let org = stage.org().await;
    let dead = ended(&stage, org, fail()).await;
    stage.advance(DAY - Duration::from_secs(60)).await;
    stage.jobs().prune(DAY, 100).await.unwrap();
    assert!(stage.row(dead).await.sealed.is_some());
    stage.seconds(61).await;
    stage.jobs().prune(DAY, 100).await.unwrap();
    let row = stage.row(dead).await;
    assert_eq!(
        (row.sealed, row.sealed_key.as_deref()),
        (None, Some("k")),
        "the mark stays"
    );
}

async fn ended_processes_are_forgotten(stage: Stage) {
    let gone = stage.worker().await;
    stage.jobs().leave(gone).await.unwrap();
    stage.advance(DAY * 2).await;
    let here = stage.worker().await;
    stage.jobs().prune(DAY, 100).await.unwrap();
    let left = process::Entity::find().all(stage.store.db()).await.unwrap();
    assert_eq!(
        left.iter().map(|process| process.id).collect::<Vec<_>>(),
        [here]
    );
}
