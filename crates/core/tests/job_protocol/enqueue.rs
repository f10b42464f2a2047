//! Step 1.

use std::time::Duration;

use patchbay_core::job::{Enqueued, JobState, NewJob, SealedArgs};
use serde_json::json;

use crate::{
    on_both,
    stage::{Stage, ids, noop, retry_after, snooze, succeed, with_key},
};

on_both! {
    a_new_job_is_queued_and_due_now,
    a_delay_moves_when_it_is_due,
    every_field_of_a_new_job_is_stored,
    nothing_is_stored_when_the_caller_rolls_back,
    a_thousand_jobs_are_answered_in_order_with_growing_ids,
    a_second_request_gets_the_waiting_job,
    a_second_request_gets_the_parked_job,
    a_key_is_free_again_once_its_job_has_ended,
    twins_in_one_request_get_one_job,
    secret_arguments_are_never_merged,
}

async fn a_new_job_is_queued_and_due_now(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await;
    assert_eq!(job.state, JobState::Queued);
    assert_eq!((job.attempt, job.crashes, job.lease_epoch), (0, 0, 0));
    assert!(job.run_at <= stage.jobs().now().await.unwrap());
}

async fn a_delay_moves_when_it_is_due(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage
        .add(NewJob {
            delay: Duration::from_secs(5),
            ..noop(org)
        })
        .await;
    assert!(stage.claim(me, &[job.id]).await.is_empty());
    stage.seconds(5).await;
    assert_eq!(stage.claim(me, &[job.id]).await.len(), 1);
}

async fn every_field_of_a_new_job_is_stored(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let job = stage
        .add(NewJob {
            connection: Some(connection),
            lane: Some("a lane".into()),
            args: json!({ "text": "a \u{0}b", "n": 1 }),
            sealed: Some(SealedArgs {
                bytes: vec![0, 255, 7],
                key_id: "k1".into(),
            }),
            max_attempts: 9,
            timeout: Duration::from_secs(77),
            trace_context: Some("00-abc".into()),
            ..noop(org)
        })
        .await;
    let stored = stage.row(job.id).await;
    assert_eq!(stored, job);
    assert_eq!(
        (stored.org_id, stored.connection_id),
        (Some(org), Some(connection))
    );
    assert_eq!(stored.lane.as_deref(), Some("a lane"));
    assert_eq!(
        stored.args,
        json!({ "text": "a \u{fffd}b", "n": 1 }),
        "NUL cannot be stored and is replaced"
    );
    assert_eq!(
        (stored.sealed, stored.sealed_key),
        (Some(vec![0, 255, 7]), Some("k1".into()))
    );
    assert_eq!((stored.max_attempts, stored.timeout_s), (9, 77));
    assert_eq!(stored.trace_context.as_deref(), Some("00-abc"));
    assert_eq!(stored.requested_by, "test");
}

async fn nothing_is_stored_when_the_caller_rolls_back(stage: Stage) {
    let org = stage.org().await;
    let tx = stage.store.begin().await.unwrap();
    let job = stage
        .jobs()
        .enqueue(&tx, vec![noop(org)])
        .await
        .unwrap()
        .remove(0)
        .into_job();
    tx.rollback().await.unwrap();
    let me = stage.worker().await;
    assert!(stage.claim(me, &[job.id]).await.is_empty());
}

async fn a_thousand_jobs_are_answered_in_order_with_growing_ids(stage: Stage) {
    let org = stage.org().await;
    let wanted = (0..1000)
        .map(|n| NewJob {
            args: json!({ "n": n }),
            ..noop(org)
        })
        .collect();
    let jobs: Vec<_> = stage
        .enqueue(wanted)
        .await
        .into_iter()
        .map(Enqueued::into_job)
        .collect();
    assert!(
        jobs.iter()
            .enumerate()
            .all(|(n, job)| job.args == json!({ "n": n }))
    );
    assert!(ids(&jobs).is_sorted());
}

async fn a_second_request_gets_the_waiting_job(stage: Stage) {
    let org = stage.org().await;
    let first = stage.add(with_key(org, "catalog")).await;
    let second = stage
        .enqueue(vec![with_key(org, "catalog")])
        .await
        .remove(0);
    assert!(
        matches!(&second, Enqueued::Waiting(job) if job.id == first.id),
        "{second:?}"
    );
    let other = stage.enqueue(vec![with_key(org, "sales")]).await.remove(0);
    assert!(matches!(other, Enqueued::New(_)), "{other:?}");
}

async fn a_second_request_gets_the_parked_job(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let first = stage
        .add(NewJob {
            connection: Some(connection),
            ..with_key(org, "catalog")
        })
        .await;
    let lease = stage.start(me, first.id).await;
    stage.refuse(lease).await.unwrap();
    let second = stage
        .enqueue(vec![with_key(org, "catalog")])
        .await
        .remove(0);
    assert!(
        matches!(&second, Enqueued::Waiting(job) if job.id == first.id && job.state == JobState::Parked)
    );
}

async fn a_key_is_free_again_once_its_job_has_ended(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let first = stage.add(with_key(org, "catalog")).await;
    let lease = stage.start(me, first.id).await;
    stage.settle(lease, snooze(0)).await.unwrap();
    let lease = stage.start(me, first.id).await;
    stage.settle(lease, retry_after(0)).await.unwrap();
    let lease = stage.start(me, first.id).await;
    stage.settle(lease, succeed()).await.unwrap();
    let second = stage
        .enqueue(vec![with_key(org, "catalog")])
        .await
        .remove(0);
    assert!(
        matches!(&second, Enqueued::New(job) if job.id != first.id),
        "{second:?}"
    );
}

async fn twins_in_one_request_get_one_job(stage: Stage) {
    let org = stage.org().await;
    let answers = stage
        .enqueue(vec![with_key(org, "a"), noop(org), with_key(org, "a")])
        .await;
    assert!(matches!(answers[0], Enqueued::New(_)));
    assert!(matches!(answers[1], Enqueued::New(_)));
    assert!(matches!(&answers[2], Enqueued::Waiting(job) if job.id == answers[0].job().id));
}

async fn secret_arguments_are_never_merged(stage: Stage) {
    let org = stage.org().await;
    let sealed = Some(SealedArgs {
        bytes: vec![1],
        key_id: "k".into(),
    });
    let tx = stage.store.begin().await.unwrap();
    let error = stage
        .jobs()
        .enqueue(
            &tx,
            vec![NewJob {
                sealed,
                ..with_key(org, "test")
            }],
        )
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("jobs_sealed_not_merged"),
        "{error}"
    );
}
