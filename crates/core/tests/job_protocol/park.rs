//! Step 10: work waits for its connection.

use patchbay_core::{
    connection::ConnectionStatus,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{JobKind, JobState, NewJob},
};

use crate::{
    on_both,
    stage::{Stage, noop, of_connection, park},
};

on_both! {
    a_refused_credential_that_is_still_current_parks,
    a_refused_credential_that_was_replaced_queues_at_once,
    a_refused_credential_that_is_gone_parks,
    a_disabled_connection_parks,
    an_enabled_connection_does_not_park,
    an_active_connection_never_parks_a_job_and_is_tried_again_soon,
    a_job_without_a_connection_waits_instead_of_parking,
    parking_burns_no_attempt,
    unparking_queues_all_parked_jobs_of_the_connection,
    parking_queued_jobs_spares_tests_and_other_connections,
    a_parked_job_is_not_claimed,
}

async fn running(stage: &Stage) -> (OrgId, ConnectionId, ProcessId, JobId) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let job = stage.add(of_connection(org, connection)).await;
    (org, connection, me, job.id)
}

async fn unpark(stage: &Stage, connection: ConnectionId) -> Vec<JobId> {
    let tx = stage.store.begin().await.unwrap();
    let due = stage.jobs().unpark(&tx, connection).await.unwrap();
    tx.commit().await.unwrap();
    due.into_iter().map(|due| due.job).collect()
}

async fn a_refused_credential_that_is_still_current_parks(stage: Stage) {
    let (_, _, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    assert_eq!(stage.refuse(lease).await.unwrap().state, JobState::Parked);
    assert!(stage.row(job).await.error.is_some());
}

async fn a_refused_credential_that_was_replaced_queues_at_once(stage: Stage) {
    let (org, connection, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    stage.credential(org, connection, 2).await;
    assert_eq!(
        stage.settle(lease, park(Some(1))).await.unwrap().state,
        JobState::Queued
    );
    assert_eq!(stage.claim(me, &[job]).await.len(), 1, "it is due now");
}

async fn a_refused_credential_that_is_gone_parks(stage: Stage) {
    let (_, connection, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    stage.revoke(connection).await;
    assert_eq!(stage.refuse(lease).await.unwrap().state, JobState::Parked);
}

async fn a_disabled_connection_parks(stage: Stage) {
    let (_, connection, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    stage.status(connection, ConnectionStatus::Disabled).await;
    assert_eq!(
        stage.settle(lease, park(None)).await.unwrap().state,
        JobState::Parked
    );
}

async fn an_enabled_connection_does_not_park(stage: Stage) {
    let (_, _, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    assert_eq!(
        stage.settle(lease, park(None)).await.unwrap().state,
        JobState::Queued
    );
}

async fn an_active_connection_never_parks_a_job_and_is_tried_again_soon(stage: Stage) {
    let (org, connection, me, refused) = running(&stage).await;
    let waiting = stage.add(of_connection(org, connection)).await.id;
    for (job, version) in [(refused, Some(1)), (waiting, None)] {
        let lease = stage.start(me, job).await;
        let settled = stage.settle(lease, park(version)).await.unwrap();
        assert_eq!(settled.state, JobState::Queued, "{version:?}");
        assert!(stage.row(job).await.error.is_some());
    }
    assert!(
        stage.claim(me, &[refused, waiting]).await.is_empty(),
        "not at once: it would go round and round"
    );
    stage.seconds(5).await;
    assert_eq!(stage.claim(me, &[refused, waiting]).await.len(), 2);
}

async fn a_job_without_a_connection_waits_instead_of_parking(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let lease = stage.start(me, job.id).await;
    assert_eq!(
        stage.settle(lease, park(None)).await.unwrap().state,
        JobState::Queued
    );
    assert!(stage.claim(me, &[job.id]).await.is_empty());
    stage.seconds(60).await;
    let me = stage.worker().await;
    assert_eq!(stage.claim(me, &[job.id]).await.len(), 1);
}

async fn parking_burns_no_attempt(stage: Stage) {
    let (_, _, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    stage.refuse(lease).await.unwrap();
    assert_eq!(stage.row(job).await.attempt, 0);
}

async fn unparking_queues_all_parked_jobs_of_the_connection(stage: Stage) {
    let (org, connection, me, first) = running(&stage).await;
    let second = stage.add(of_connection(org, connection)).await.id;
    let other_connection = stage.connection(org).await;
    let other = stage.add(of_connection(org, other_connection)).await.id;
    for job in [first, second, other] {
        let lease = stage.start(me, job).await;
        assert_eq!(stage.refuse(lease).await.unwrap().state, JobState::Parked);
    }
    assert_eq!(unpark(&stage, connection).await, [first, second]);
    assert_eq!(stage.claim(me, &[first, second, other]).await.len(), 2);
    assert_eq!(stage.state(other).await, JobState::Parked);
    assert!(unpark(&stage, connection).await.is_empty());
}

async fn parking_queued_jobs_spares_tests_and_other_connections(stage: Stage) {
    let (org, connection, _, job) = running(&stage).await;
    let test = stage
        .add(NewJob {
            kind: JobKind::ConnectionTest,
            ..of_connection(org, connection)
        })
        .await;
    let other = stage.add(noop(org)).await;
    let tx = stage.store.begin().await.unwrap();
    assert_eq!(
        stage.jobs().park_queued(&tx, connection).await.unwrap(),
        [job]
    );
    tx.commit().await.unwrap();
    assert_eq!(stage.state(job).await, JobState::Parked);
    assert_eq!(stage.state(test.id).await, JobState::Queued);
    assert_eq!(stage.state(other.id).await, JobState::Queued);
}

async fn a_parked_job_is_not_claimed(stage: Stage) {
    let (_, _, me, job) = running(&stage).await;
    let lease = stage.start(me, job).await;
    stage.refuse(lease).await.unwrap();
    assert!(stage.claim(me, &[job]).await.is_empty());
}
