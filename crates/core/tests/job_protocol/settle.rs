//! Step 7: how a lease ends.

use std::time::Duration;

use patchbay_core::job::{JobState, Lease, NewJob, SealedArgs, Settle, Settlement};
use serde_json::json;

use crate::{
    on_both,
    stage::{Stage, fail, failure, lease, noop, retry_after, snooze, succeed},
};

on_both! {
    success_stores_the_result_and_empties_the_secret,
    a_retry_burns_an_attempt_and_waits,
    a_failure_burns_an_attempt_and_ends,
    a_snooze_burns_no_attempt,
    a_release_queues_at_once_and_burns_nothing,
    a_failed_job_keeps_its_secret,
    a_stale_epoch_settles_nothing,
    a_batch_of_mixed_ends_leaves_out_only_what_is_not_ours,
    text_with_a_nul_character_does_not_sink_a_batch,
    settling_in_a_transaction_that_rolls_back_settles_nothing,
}

async fn running(stage: &Stage, job: NewJob) -> Lease {
    let me = stage.worker().await;
    let job = stage.add(job).await;
    stage.start(me, job.id).await
}

async fn success_stores_the_result_and_empties_the_secret(stage: Stage) {
    let org = stage.org().await;
    let sealed = Some(SealedArgs {
        bytes: vec![1, 2],
        key_id: "k".into(),
    });
    let lease = running(
        &stage,
        NewJob {
            sealed,
            ..noop(org)
        },
    )
    .await;
    let settled = stage
        .settle(
            lease,
            Settle::Succeed {
                result: json!({ "records": 7 }),
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (settled.job, settled.state, settled.successor),
        (lease.job, JobState::Succeeded, None)
    );
    let row = stage.row(lease.job).await;
    assert_eq!(row.result, Some(json!({ "records": 7 })));
    assert_eq!(
        (row.sealed, row.sealed_key, row.leased_by, row.deadline),
        (None, Some("k".into()), None, None)
    );
    assert!(row.finished_at >= row.started_at);
    assert_eq!(row.attempt, 0);
}

async fn a_retry_burns_an_attempt_and_waits(stage: Stage) {
    let org = stage.org().await;
    let lease = running(&stage, noop(org)).await;
    assert_eq!(
        stage.settle(lease, retry_after(5)).await.unwrap().state,
        JobState::Queued
    );
    let row = stage.row(lease.job).await;
    assert_eq!(
        (row.attempt, row.leased_by, row.finished_at),
        (1, None, None)
    );
    assert_eq!(
        row.error,
        Some(serde_json::to_value(failure("not now")).unwrap())
    );
    let me = stage.worker().await;
    assert!(stage.claim(me, &[lease.job]).await.is_empty());
    stage.seconds(5).await;
    assert_eq!(stage.claim(me, &[lease.job]).await.len(), 1);
}

async fn a_failure_burns_an_attempt_and_ends(stage: Stage) {
    let org = stage.org().await;
    let lease = running(&stage, noop(org)).await;
    assert_eq!(
        stage.settle(lease, fail()).await.unwrap().state,
        JobState::Failed
    );
    let row = stage.row(lease.job).await;
    assert_eq!(row.attempt, 1);
    assert!(row.finished_at.is_some() && row.discarded_at.is_none());
    assert_eq!(
        row.error,
        Some(serde_json::to_value(failure("no")).unwrap())
    );
}

async fn a_snooze_burns_no_attempt(stage: Stage) {
    let org = stage.org().await;
    let lease = running(&stage, noop(org)).await;
    assert_eq!(
        stage.settle(lease, snooze(60)).await.unwrap().state,
        JobState::Queued
    );
    let row = stage.row(lease.job).await;
    assert_eq!(row.attempt, 0);
    assert!(row.run_at > stage.jobs().now().await.unwrap() + chrono::TimeDelta::seconds(55));
}

async fn a_release_queues_at_once_and_burns_nothing(stage: Stage) {
    let org = stage.org().await;
    let lease = running(&stage, noop(org)).await;
    stage.settle(lease, retry_after(0)).await.unwrap();
    let me = stage.worker().await;
    let again = stage.start(me, lease.job).await;
    assert_eq!(
        stage.settle(again, Settle::Release).await.unwrap().state,
        JobState::Queued
    );
    let row = stage.row(lease.job).await;
    assert_eq!(row.attempt, 1);
    assert_eq!(
        row.error,
        Some(serde_json::to_value(failure("not now")).unwrap()),
        "the last failure stays to be read"
    );
    assert_eq!(stage.claim(me, &[lease.job]).await.len(), 1);
}

async fn a_failed_job_keeps_its_secret(stage: Stage) {
    let org = stage.org().await;
    let sealed = Some(SealedArgs {
        bytes: vec![1, 2],
        key_id: "k".into(),
    });
    let lease = running(
        &stage,
        NewJob {
            sealed,
            ..noop(org)
        },
    )
    .await;
    stage.settle(lease, fail()).await.unwrap();
    assert_eq!(stage.row(lease.job).await.sealed, Some(vec![1, 2]));
}

async fn a_stale_epoch_settles_nothing(stage: Stage) {
    let org = stage.org().await;
    let stale = running(&stage, noop(org)).await;
    stage.settle(stale, Settle::Release).await.unwrap();
    assert_eq!(
        stage.settle(stale, succeed()).await,
        None,
        "it does not run"
    );
    let me = stage.worker().await;
    let current = stage.start(me, stale.job).await;
    assert_eq!(
        stage.settle(stale, succeed()).await,
        None,
        "another run has it"
    );
    assert_eq!(stage.state(stale.job).await, JobState::Running);
    assert!(stage.settle(current, succeed()).await.is_some());
}

async fn a_batch_of_mixed_ends_leaves_out_only_what_is_not_ours(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let mut leases = Vec::new();
    for answer in stage.enqueue(vec![noop(org); 5]).await {
        leases.push(stage.start(me, answer.job().id).await);
    }
    leases[3].epoch += 1;
    let ends = [
        succeed(),
        fail(),
        retry_after(9),
        succeed(),
        snooze(Duration::from_secs(9).as_secs()),
    ];
    let mut batch: Vec<Settlement> = leases
        .iter()
        .zip(ends)
        .map(|(lease, end)| Settlement { lease: *lease, end })
        .collect();
    batch.reverse();
    let mut settled = stage.jobs().settle(&batch).await.unwrap();
    settled.sort_by_key(|settled| settled.job);
    let states: Vec<JobState> = settled.iter().map(|settled| settled.state).collect();
    assert_eq!(
        states,
        [
            JobState::Succeeded,
            JobState::Failed,
            JobState::Queued,
            JobState::Queued
        ]
    );
    assert_eq!(stage.state(leases[3].job).await, JobState::Running);
    assert!(stage.jobs().settle(&[]).await.unwrap().is_empty());
}

async fn text_with_a_nul_character_does_not_sink_a_batch(stage: Stage) {
    let org = stage.org().await;
    let first = running(&stage, noop(org)).await;
    let second = running(&stage, noop(org)).await;
    let batch = [
        Settlement {
            lease: first,
            end: Settle::Fail {
                failure: failure("bad \u{0} byte"),
            },
        },
        Settlement {
            lease: second,
            end: Settle::Succeed {
                result: json!({ "a\u{0}": ["\\u0000", "\u{0}"] }),
            },
        },
    ];
    assert_eq!(stage.jobs().settle(&batch).await.unwrap().len(), 2);
    assert_eq!(
        stage.row(first.job).await.error.unwrap()["message"],
        "bad \u{fffd} byte"
    );
    assert_eq!(
        stage.row(second.job).await.result,
        Some(json!({ "a\u{fffd}": ["\\u0000", "\u{fffd}"] }))
    );
}

async fn settling_in_a_transaction_that_rolls_back_settles_nothing(stage: Stage) {
    let org = stage.org().await;
    let held = running(&stage, noop(org)).await;
    let tx = stage.store.begin().await.unwrap();
    let settled = stage
        .jobs()
        .settle_in(
            &tx,
            &Settlement {
                lease: held,
                end: succeed(),
            },
        )
        .await
        .unwrap();
    assert_eq!(
        settled.map(|settled| settled.state),
        Some(JobState::Succeeded)
    );
    tx.rollback().await.unwrap();
    let row = stage.row(held.job).await;
    assert_eq!((row.state, lease(&row)), (JobState::Running, held));
}
