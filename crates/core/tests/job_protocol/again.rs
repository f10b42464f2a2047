//! The same work asked for while it runs: it runs once more.

use patchbay_core::{
    entities::job,
    ids::{JobId, OrgId, ProcessId},
    job::{Enqueued, JobState, Lease, NewJob, Settle},
    store::jobs::Moved,
};
use serde_json::json;

use crate::{
    on_both,
    stage::{Stage, fail, retry_after, succeed, with_key},
};

on_both! {
    a_request_while_it_runs_sets_again,
    success_is_followed_by_a_successor,
    failure_is_followed_by_a_successor,
    a_retry_keeps_again_for_its_end,
    a_cancel_drops_again,
    quarantine_is_followed_by_a_successor,
    the_successor_is_found_by_the_next_request,
    a_persons_retry_is_refused_while_the_successor_is_open,
}

async fn running(stage: &Stage) -> (OrgId, ProcessId, Lease) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let wanted = NewJob {
        lane: Some(format!("{org}:a")),
        args: json!({ "stream": "catalog" }),
        ..with_key(org, "a")
    };
    let job = stage.add(wanted).await;
    let lease = stage.start(me, job.id).await;
    let twin = stage.enqueue(vec![with_key(org, "a")]).await.remove(0);
    assert!(
        matches!(&twin, Enqueued::Again(twin) if twin.id == job.id && twin.again),
        "{twin:?}"
    );
    (org, me, lease)
}

fn is_successor(before: &job::Model, after: &job::Model) {
    assert_eq!(
        (after.state, after.attempt, after.lease_epoch, after.again),
        (JobState::Queued, 0, 0, false)
    );
    assert_eq!(
        (
            &after.org_id,
            &after.kind,
            &after.queue,
            &after.lane,
            &after.args,
            &after.dedupe_key
        ),
        (
            &before.org_id,
            &before.kind,
            &before.queue,
            &before.lane,
            &before.args,
            &before.dedupe_key
        )
    );
    assert_eq!(
        (after.max_attempts, after.timeout_s),
        (before.max_attempts, before.timeout_s)
    );
    assert!(
        after.id > before.id,
        "it comes after all that was asked for before"
    );
}

async fn ends_with_successor(stage: &Stage, lease: Lease, end: Settle) -> JobId {
    let settled = stage.settle(lease, end).await.unwrap();
    let successor = settled.successor.unwrap();
    is_successor(&stage.row(lease.job).await, &stage.row(successor).await);
    successor
}

async fn a_request_while_it_runs_sets_again(stage: Stage) {
    let (_, _, lease) = running(&stage).await;
    let row = stage.row(lease.job).await;
    assert_eq!((row.state, row.again), (JobState::Running, true));
}

async fn success_is_followed_by_a_successor(stage: Stage) {
    let (_, me, lease) = running(&stage).await;
    let successor = ends_with_successor(&stage, lease, succeed()).await;
    let next = stage.start(me, successor).await;
    assert_eq!(stage.settle(next, succeed()).await.unwrap().successor, None);
}

async fn failure_is_followed_by_a_successor(stage: Stage) {
    let (_, _, lease) = running(&stage).await;
    ends_with_successor(&stage, lease, fail()).await;
}

async fn a_retry_keeps_again_for_its_end(stage: Stage) {
    let (_, me, lease) = running(&stage).await;
    assert_eq!(
        stage.settle(lease, retry_after(0)).await.unwrap().successor,
        None
    );
    let second = stage.start(me, lease.job).await;
    ends_with_successor(&stage, second, succeed()).await;
}

async fn a_cancel_drops_again(stage: Stage) {
    let (org, _, lease) = running(&stage).await;
    assert!(matches!(stage.cancel(org, lease.job).await, Moved::Done(_)));
    let next = stage.enqueue(vec![with_key(org, "a")]).await.remove(0);
    assert!(
        matches!(next, Enqueued::New(_)),
        "nothing else of the key is open: {next:?}"
    );
}

async fn quarantine_is_followed_by_a_successor(stage: Stage) {
    let (org, _, lease) = running(&stage).await;
    stage.everyone_dies().await;
    let me = stage.worker().await;
    stage.start(me, lease.job).await;
    stage.everyone_dies().await;
    let me = stage.worker().await;
    stage.start_alone(me, lease.job).await;
    stage.everyone_dies().await;
    assert_eq!(stage.state(lease.job).await, JobState::Quarantined);
    let next = stage.enqueue(vec![with_key(org, "a")]).await.remove(0);
    assert!(matches!(&next, Enqueued::Waiting(_)), "{next:?}");
    is_successor(&stage.row(lease.job).await, next.job());
}

async fn the_successor_is_found_by_the_next_request(stage: Stage) {
    let (org, _, lease) = running(&stage).await;
    let successor = ends_with_successor(&stage, lease, succeed()).await;
    let next = stage.enqueue(vec![with_key(org, "a")]).await.remove(0);
    assert!(
        matches!(&next, Enqueued::Waiting(job) if job.id == successor),
        "{next:?}"
    );
}

async fn a_persons_retry_is_refused_while_the_successor_is_open(stage: Stage) {
    let (org, me, lease) = running(&stage).await;
    let successor = ends_with_successor(&stage, lease, fail()).await;
    assert!(matches!(
        stage.retry(org, lease.job).await,
        Moved::Refused(_)
    ));
    let next = stage.start(me, successor).await;
    stage.settle(next, succeed()).await.unwrap();
    assert!(matches!(stage.retry(org, lease.job).await, Moved::Done(_)));
}
