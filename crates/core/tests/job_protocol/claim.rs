//! Step 3 from hints.

use patchbay_core::{
    ids::{JobId, ProcessId},
    job::{JobState, NewJob, Queue},
};

use crate::{
    on_both,
    stage::{Stage, ids, lease, noop, succeed},
};

on_both! {
    a_due_job_starts_to_run_under_its_claimer,
    a_job_is_claimed_once,
    hints_that_do_not_qualify_fall_away,
    a_doubled_hint_gives_one_job,
    jobs_come_in_the_order_of_their_hints,
    an_unknown_process_claims_nothing,
    a_process_whose_lease_ran_out_claims_nothing,
    a_process_that_has_left_claims_nothing,
    a_second_run_keeps_the_time_of_the_first_start_and_moves_the_epoch,
    a_process_takes_one_suspect_at_a_time,
    suspects_are_claimed_beside_other_jobs,
}

async fn a_due_job_starts_to_run_under_its_claimer(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let claimed = stage.claim(me, &[job.id]).await.remove(0);
    assert_eq!(claimed, stage.row(job.id).await);
    assert_eq!(
        (claimed.state, claimed.lease_epoch, claimed.leased_by),
        (JobState::Running, 1, Some(me))
    );
    let started = claimed.started_at.unwrap();
    assert_eq!(
        claimed.deadline,
        Some(started + chrono::TimeDelta::seconds(3600))
    );
}

async fn a_job_is_claimed_once(stage: Stage) {
    let org = stage.org().await;
    let (me, other) = (stage.worker().await, stage.worker().await);
    let job = stage.add(noop(org)).await;
    assert_eq!(stage.claim(me, &[job.id]).await.len(), 1);
    assert!(stage.claim(me, &[job.id]).await.is_empty());
    assert!(stage.claim(other, &[job.id]).await.is_empty());
}

async fn hints_that_do_not_qualify_fall_away(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let wanted = stage.add(noop(org)).await;
    let elsewhere = stage
        .add(NewJob {
            queue: Queue::Webhook,
            ..noop(org)
        })
        .await;
    let ended = stage.add(noop(org)).await;
    let lease = stage.start(me, ended.id).await;
    stage.settle(lease, succeed()).await.unwrap();
    let forged = JobId::new(stage.store.clock());
    let claimed = stage
        .claim(me, &[forged, ended.id, elsewhere.id, wanted.id])
        .await;
    assert_eq!(ids(&claimed), [wanted.id]);
    assert!(stage.claim(me, &[]).await.is_empty());
}

async fn a_doubled_hint_gives_one_job(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    assert_eq!(stage.claim(me, &[job.id, job.id]).await.len(), 1);
}

async fn jobs_come_in_the_order_of_their_hints(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let jobs: Vec<JobId> = stage
        .enqueue(vec![noop(org), noop(org), noop(org)])
        .await
        .iter()
        .map(|job| job.job().id)
        .collect();
    let hints = [jobs[1], jobs[2], jobs[0]];
    assert_eq!(ids(&stage.claim(me, &hints).await), hints);
}

async fn an_unknown_process_claims_nothing(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await;
    let stranger = ProcessId::new(stage.store.clock());
    assert!(stage.claim(stranger, &[job.id]).await.is_empty());
}

async fn a_process_whose_lease_ran_out_claims_nothing(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    stage.seconds(6).await;
    assert!(stage.claim(me, &[job.id]).await.is_empty());
}

async fn a_process_that_has_left_claims_nothing(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    stage.jobs().leave(me).await.unwrap();
    assert!(stage.claim(me, &[job.id]).await.is_empty());
}

async fn a_second_run_keeps_the_time_of_the_first_start_and_moves_the_epoch(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let first = stage.claim(me, &[job.id]).await.remove(0);
    stage
        .settle(lease(&first), patchbay_core::job::Settle::Release)
        .await
        .unwrap();
    stage.seconds(3).await;
    let second = stage.claim(me, &[job.id]).await.remove(0);
    assert_eq!(second.started_at, first.started_at);
    assert_eq!(second.lease_epoch, 2);
    assert!(second.deadline > first.deadline);
}

/// Three jobs that a process has died under.
async fn three_suspects(stage: &Stage) -> Vec<JobId> {
    let org = stage.org().await;
    let victim = stage.worker().await;
    let jobs: Vec<JobId> = stage
        .enqueue(vec![noop(org), noop(org), noop(org)])
        .await
        .iter()
        .map(|job| job.job().id)
        .collect();
    assert_eq!(stage.claim(victim, &jobs).await.len(), 3);
    stage.everyone_dies().await;
    for id in &jobs {
        assert_eq!(stage.row(*id).await.crashes, 1);
    }
    jobs
}

async fn a_process_takes_one_suspect_at_a_time(stage: Stage) {
    let suspects = three_suspects(&stage).await;
    let (me, other) = (stage.worker().await, stage.worker().await);
    let mine = stage.claim(me, &suspects).await;
    assert_eq!(ids(&mine), [suspects[0]], "of a batch the oldest");
    assert!(stage.claim(me, &suspects).await.is_empty());
    assert_eq!(
        stage.claim(other, &suspects).await.len(),
        1,
        "another process has its own"
    );
    stage.settle(lease(&mine[0]), succeed()).await.unwrap();
    assert_eq!(stage.claim(me, &suspects).await.len(), 1);
}

async fn suspects_are_claimed_beside_other_jobs(stage: Stage) {
    let suspects = three_suspects(&stage).await;
    let me = stage.worker().await;
    let org = stage.org().await;
    let fresh = stage.add(noop(org)).await;
    let claimed = stage.claim(me, &[suspects[1], suspects[2], fresh.id]).await;
    assert_eq!(ids(&claimed), [suspects[1], fresh.id]);
}
