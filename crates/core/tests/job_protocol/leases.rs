//! Step 4: leases of processes.

use patchbay_core::job::{JobState, Lease, Settle};

use crate::{
    on_both,
    stage::{Stage, noop, succeed},
};

on_both! {
    a_renewed_lease_lives_on,
    a_lease_that_ran_out_is_never_renewed,
    a_renewal_tells_of_cancelled_jobs,
    a_renewal_tells_of_jobs_that_another_run_took,
    a_renewal_keeps_silent_about_jobs_that_are_ours,
    a_job_whose_claim_was_never_answered_is_queued_again,
    a_process_that_leaves_releases_its_jobs_uncharged,
    a_process_that_comes_back_late_releases_its_jobs_uncharged,
    leaving_twice_changes_nothing,
    a_process_that_left_is_not_alive,
    the_clock_of_the_protocol_moves,
}

async fn running(stage: &Stage, jobs: usize) -> (patchbay_core::ids::ProcessId, Vec<Lease>) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let mut leases = Vec::new();
    for answer in stage.enqueue(vec![noop(org); jobs]).await {
        leases.push(stage.start(me, answer.job().id).await);
    }
    (me, leases)
}

async fn a_renewed_lease_lives_on(stage: Stage) {
    let (me, leases) = running(&stage, 1).await;
    for _ in 0..3 {
        stage.seconds(4).await;
        let renewal = stage.jobs().renew(me, &leases).await.unwrap();
        assert!(renewal.alive);
    }
    let scheduler = stage.worker().await;
    stage.jobs().rescue(scheduler).await.unwrap();
    assert_eq!(stage.state(leases[0].job).await, JobState::Running);
}

async fn a_lease_that_ran_out_is_never_renewed(stage: Stage) {
    let (me, _) = running(&stage, 0).await;
    stage.seconds(6).await;
    assert!(!stage.jobs().renew(me, &[]).await.unwrap().alive);
}

async fn a_renewal_tells_of_cancelled_jobs(stage: Stage) {
    let (me, leases) = running(&stage, 2).await;
    let org = stage.row(leases[0].job).await.org_id.unwrap();
    stage.cancel(org, leases[0].job).await;
    let renewal = stage.jobs().renew(me, &leases).await.unwrap();
    assert!(renewal.alive);
    assert_eq!(renewal.lost, [leases[0]]);
}

async fn a_renewal_tells_of_jobs_that_another_run_took(stage: Stage) {
    let (me, leases) = running(&stage, 1).await;
    stage.settle(leases[0], Settle::Release).await.unwrap();
    stage.start(me, leases[0].job).await;
    assert_eq!(stage.jobs().renew(me, &leases).await.unwrap().lost, leases);
}

async fn a_renewal_keeps_silent_about_jobs_that_are_ours(stage: Stage) {
    let (me, leases) = running(&stage, 3).await;
    let renewal = stage.jobs().renew(me, &leases).await.unwrap();
    assert!(renewal.alive && renewal.lost.is_empty(), "{renewal:?}");
    assert!(stage.jobs().renew(me, &[]).await.unwrap().lost.is_empty());
}

async fn a_job_whose_claim_was_never_answered_is_queued_again(stage: Stage) {
    let (me, leases) = running(&stage, 2).await;
    let (other, of_other) = running(&stage, 1).await;
    let (known, stray) = (&leases[..1], leases[1]);
    for _ in 0..2 {
        stage.seconds(5).await;
        assert_eq!(stage.state(stray.job).await, JobState::Running);
        assert!(stage.jobs().renew(other, &of_other).await.unwrap().alive);
        assert!(stage.jobs().renew(me, known).await.unwrap().alive);
    }
    stage.seconds(1).await;
    let renewal = stage.jobs().renew(me, known).await.unwrap();
    assert!(renewal.alive && renewal.lost.is_empty(), "{renewal:?}");
    let row = stage.row(stray.job).await;
    assert_eq!(
        (
            row.state,
            row.crashes,
            row.attempt,
            row.leased_by,
            row.deadline
        ),
        (JobState::Queued, 0, 0, None, None)
    );
    for lease in [leases[0], of_other[0]] {
        assert_eq!(stage.state(lease.job).await, JobState::Running);
    }
    assert_eq!(
        stage.jobs().renew(me, &leases).await.unwrap().lost,
        [stray],
        "an answer that comes late is told to be lost"
    );
    let again = stage.start(me, stray.job).await;
    assert_eq!(again.epoch, stray.epoch + 1);
}

async fn a_process_that_leaves_releases_its_jobs_uncharged(stage: Stage) {
    let (me, leases) = running(&stage, 3).await;
    stage.settle(leases[0], succeed()).await.unwrap();
    let released = stage.jobs().leave(me).await.unwrap();
    assert_eq!(released, [leases[1].job, leases[2].job]);
    for id in released {
        let row = stage.row(id).await;
        assert_eq!(
            (row.state, row.crashes, row.attempt, row.leased_by),
            (JobState::Queued, 0, 0, None)
        );
    }
    assert_eq!(stage.state(leases[0].job).await, JobState::Succeeded);
}

async fn a_process_that_comes_back_late_releases_its_jobs_uncharged(stage: Stage) {
    let (me, leases) = running(&stage, 1).await;
    stage.seconds(60).await;
    assert_eq!(stage.jobs().leave(me).await.unwrap(), [leases[0].job]);
    assert_eq!(stage.row(leases[0].job).await.crashes, 0);
}

async fn leaving_twice_changes_nothing(stage: Stage) {
    let (me, _) = running(&stage, 1).await;
    assert_eq!(stage.jobs().leave(me).await.unwrap().len(), 1);
    assert!(stage.jobs().leave(me).await.unwrap().is_empty());
}

async fn a_process_that_left_is_not_alive(stage: Stage) {
    let (me, _) = running(&stage, 0).await;
    stage.jobs().leave(me).await.unwrap();
    assert!(!stage.jobs().renew(me, &[]).await.unwrap().alive);
}

async fn the_clock_of_the_protocol_moves(stage: Stage) {
    let before = stage.jobs().now().await.unwrap();
    stage.seconds(3600).await;
    let after = stage.jobs().now().await.unwrap();
    assert!(after - before >= chrono::TimeDelta::seconds(3600));
    assert!(after - before < chrono::TimeDelta::seconds(3660));
}
