//! Step 11 and the dead-letter queue: what people do with a job.

use std::time::Duration;

use patchbay_core::{
    ids::{JobId, OrgId},
    job::{JobKind, JobState, NewJob, Queue, SealedArgs},
    store::jobs::Moved,
};

use crate::{
    on_both,
    stage::{Stage, fail, noop, of_connection, succeed},
};

on_both! {
    a_queued_job_is_cancelled_and_loses_its_secret,
    a_parked_job_is_cancelled,
    a_cancel_moves_the_epoch_of_a_running_job,
    an_ended_job_is_not_cancelled,
    another_orgs_job_is_missing,
    jobs_of_the_deployment_answer_to_its_own_turn,
    a_persons_retry_starts_over_with_the_same_id,
    only_dead_jobs_are_retried,
    a_discarded_job_leaves_the_dead_letter_queue,
    only_dead_jobs_are_discarded,
    a_discarded_job_can_be_retried,
    a_job_whose_secret_is_gone_is_not_retried,
}

async fn dead(stage: &Stage) -> (OrgId, JobId) {
    let org = stage.org().await;
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
    stage.settle(lease, fail()).await.unwrap();
    (org, job.id)
}

async fn a_queued_job_is_cancelled_and_loses_its_secret(stage: Stage) {
    let org = stage.org().await;
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
    let Moved::Done(row) = stage.cancel(org, job.id).await else {
        panic!("a queued job can be cancelled")
    };
    assert_eq!(*row, stage.row(job.id).await);
    assert_eq!(
        (row.state, row.sealed, row.sealed_key),
        (JobState::Cancelled, None, Some("k".into()))
    );
    assert!(row.finished_at.is_some());
}

async fn a_parked_job_is_cancelled(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let job = stage.add(of_connection(org, connection)).await;
    let lease = stage.start(me, job.id).await;
    stage.refuse(lease).await.unwrap();
    assert!(matches!(stage.cancel(org, job.id).await, Moved::Done(_)));
    assert_eq!(stage.state(job.id).await, JobState::Cancelled);
}

async fn a_cancel_moves_the_epoch_of_a_running_job(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let lease = stage.start(me, job.id).await;
    let Moved::Done(row) = stage.cancel(org, job.id).await else {
        panic!("a running job can be cancelled")
    };
    assert_eq!(
        (row.state, row.lease_epoch, row.leased_by),
        (JobState::Cancelled, lease.epoch + 1, None)
    );
    assert_eq!(stage.settle(lease, succeed()).await, None);
}

async fn an_ended_job_is_not_cancelled(stage: Stage) {
    let (org, job) = dead(&stage).await;
    assert!(
        matches!(stage.cancel(org, job).await, Moved::Refused(row) if row.state == JobState::Failed)
    );
}

async fn another_orgs_job_is_missing(stage: Stage) {
    let (_, job) = dead(&stage).await;
    let stranger = stage.org().await;
    assert_eq!(stage.cancel(stranger, job).await, Moved::Missing);
    assert_eq!(stage.retry(stranger, job).await, Moved::Missing);
    assert_eq!(stage.discard(stranger, job).await, Moved::Missing);
    assert_eq!(
        stage
            .cancel(stranger, JobId::new(stage.store.clock()))
            .await,
        Moved::Missing
    );
}

async fn jobs_of_the_deployment_answer_to_its_own_turn(stage: Stage) {
    let job = stage
        .add(NewJob::new(
            None,
            JobKind::HealthCheck,
            Queue::Maintenance,
            "schedule",
        ))
        .await;
    let org = stage.org().await;
    assert_eq!(stage.cancel(org, job.id).await, Moved::Missing);
    assert!(matches!(
        stage.cancel(OrgId::DEPLOYMENT, job.id).await,
        Moved::Done(_)
    ));
}

async fn a_persons_retry_starts_over_with_the_same_id(stage: Stage) {
    let (org, job) = dead(&stage).await;
    let Moved::Done(row) = stage.retry(org, job).await else {
        panic!("a failed job can be retried")
    };
    assert_eq!(
        (row.id, row.state, row.attempt, row.crashes),
        (job, JobState::Queued, 0, 0)
    );
    assert_eq!((row.error, row.finished_at, row.again), (None, None, false));
    let me = stage.worker().await;
    let lease = stage.start(me, job).await;
    assert_eq!(lease.epoch, 2, "an old lease stays stale");
}

async fn only_dead_jobs_are_retried(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await;
    assert!(
        matches!(stage.retry(org, job.id).await, Moved::Refused(_)),
        "queued"
    );
    stage.cancel(org, job.id).await;
    assert!(
        matches!(stage.retry(org, job.id).await, Moved::Refused(_)),
        "cancelled"
    );
}

async fn a_discarded_job_leaves_the_dead_letter_queue(stage: Stage) {
    let (org, job) = dead(&stage).await;
    let Moved::Done(row) = stage.discard(org, job).await else {
        panic!("a failed job can be discarded")
    };
    assert_eq!((row.state, row.sealed), (JobState::Failed, None));
    assert!(row.discarded_at.is_some());
    assert!(
        matches!(stage.discard(org, job).await, Moved::Refused(_)),
        "once"
    );
}

async fn only_dead_jobs_are_discarded(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await;
    assert!(matches!(
        stage.discard(org, job.id).await,
        Moved::Refused(_)
    ));
}

async fn a_discarded_job_can_be_retried(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await.id;
    let lease = stage.start(me, job).await;
    stage.settle(lease, fail()).await.unwrap();
    stage.discard(org, job).await;
    let Moved::Done(row) = stage.retry(org, job).await else {
        panic!("a discarded job can be retried")
    };
    assert_eq!((row.state, row.discarded_at), (JobState::Queued, None));
}

async fn a_job_whose_secret_is_gone_is_not_retried(stage: Stage) {
    let (org, discarded) = dead(&stage).await;
    stage.discard(org, discarded).await;
    let (other_org, old) = dead(&stage).await;
    stage.seconds(24 * 3600 + 1).await;
    stage
        .jobs()
        .prune(Duration::from_secs(7 * 24 * 3600), 100)
        .await
        .unwrap();
    for (org, job) in [(org, discarded), (other_org, old)] {
        let Moved::Refused(row) = stage.retry(org, job).await else {
            panic!("it could only fail: {job}")
        };
        assert_eq!(
            (row.state, row.sealed, row.sealed_key.as_deref()),
            (JobState::Failed, None, Some("k"))
        );
    }
}
