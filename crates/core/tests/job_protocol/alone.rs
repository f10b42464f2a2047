//! A job that two processes have died under runs alone in a third.

use patchbay_core::{
    entities::job,
    ids::{JobId, OrgId, ProcessId},
    job::{JobState, Queue, Settle},
};

use crate::{
    on_both,
    stage::{Stage, in_lane, lease, noop, park, retry_after, snooze, succeed},
};

on_both! {
    a_job_charged_twice_is_claimed_by_no_ordinary_claim,
    one_process_makes_room_for_it,
    a_process_that_makes_room_claims_nothing_else,
    it_is_claimed_once_its_process_holds_nothing_else,
    its_third_death_alone_sets_it_aside,
    a_death_beside_another_is_not_its_own,
    room_is_made_for_what_may_run,
    a_dead_process_makes_room_for_nothing,
    progress_makes_it_a_job_like_any_other,
    an_answer_is_no_death_and_leaves_one,
    half_of_the_workers_make_room_and_no_more,
}

/// A job that two processes have died under.
pub(crate) async fn charged_twice(stage: &Stage, org: OrgId) -> JobId {
    let id = stage.add(noop(org)).await.id;
    die_twice(stage, id).await;
    id
}

async fn die_twice(stage: &Stage, id: JobId) {
    for _ in 0..2 {
        let victim = stage.worker().await;
        stage.start(victim, id).await;
        stage.everyone_dies().await;
    }
    assert_eq!(stage.row(id).await.crashes, 2);
}

async fn room(stage: &Stage, me: ProcessId) -> Option<JobId> {
    stage.jobs().make_room(me, &[Queue::Sync]).await.unwrap()
}

async fn alone(stage: &Stage, me: ProcessId) -> Option<job::Model> {
    stage.jobs().claim_alone(me, &[Queue::Sync]).await.unwrap()
}

async fn direct(stage: &Stage, me: ProcessId) -> Vec<JobId> {
    let claim = (stage.jobs()).claim_due(me, Queue::Sync, 9, OrgId::DEPLOYMENT, &[]);
    claim.await.unwrap().iter().map(|job| job.id).collect()
}

async fn a_job_charged_twice_is_claimed_by_no_ordinary_claim(stage: Stage) {
    let org = stage.org().await;
    let suspect = charged_twice(&stage, org).await;
    let me = stage.worker().await;
    assert!(stage.claim(me, &[suspect]).await.is_empty());
    assert!(direct(&stage, me).await.is_empty());
    let due = (stage.jobs()).due(Queue::Sync, 9, 9, OrgId::DEPLOYMENT);
    assert_eq!(due.await.unwrap(), [], "no hint leads to it");
    let fresh = stage.add(noop(org)).await.id;
    assert_eq!(direct(&stage, me).await, [fresh]);
}

async fn one_process_makes_room_for_it(stage: Stage) {
    let org = stage.org().await;
    let first = charged_twice(&stage, org).await;
    let (me, other, third) = (
        stage.worker().await,
        stage.worker().await,
        stage.worker().await,
    );
    assert_eq!(room(&stage, me).await, Some(first));
    assert_eq!(room(&stage, me).await, Some(first), "and goes on");
    assert_eq!(room(&stage, other).await, None);
    stage.jobs().leave_room(me).await.unwrap();
    assert_eq!(room(&stage, third).await, Some(first));
    let elsewhere = stage.jobs().make_room(other, &[Queue::Webhook]).await;
    assert_eq!(elsewhere.unwrap(), None, "of its queues only");
}

async fn a_process_that_makes_room_claims_nothing_else(stage: Stage) {
    let org = stage.org().await;
    let suspect = charged_twice(&stage, org).await;
    let me = stage.worker().await;
    assert_eq!(room(&stage, me).await, Some(suspect));
    let fresh = stage.add(noop(org)).await.id;
    assert!(direct(&stage, me).await.is_empty());
    assert!(stage.claim(me, &[fresh]).await.is_empty());
    assert!(alone(&stage, me).await.is_some());
    assert!(direct(&stage, me).await.is_empty());
    assert!(stage.claim(me, &[fresh]).await.is_empty());
    stage.jobs().leave_room(me).await.unwrap();
    assert_eq!(direct(&stage, me).await, [fresh]);
}

async fn it_is_claimed_once_its_process_holds_nothing_else(stage: Stage) {
    let org = stage.org().await;
    let suspect = charged_twice(&stage, org).await;
    let me = stage.worker().await;
    assert!(alone(&stage, me).await.is_none(), "no room was made");
    let other = stage.add(noop(org)).await.id;
    let held = stage.start(me, other).await;
    assert_eq!(room(&stage, me).await, Some(suspect));
    assert!(alone(&stage, me).await.is_none());
    stage.settle(held, succeed()).await.unwrap();
    let claimed = alone(&stage, me).await.unwrap();
    assert_eq!((claimed.id, claimed.lease_epoch), (suspect, 3));
    assert!(claimed.deadline.is_some());
    assert_eq!(room(&stage, me).await, Some(suspect), "it runs");
    stage.settle(lease(&claimed), succeed()).await.unwrap();
    assert_eq!(room(&stage, me).await, None);
}

async fn its_third_death_alone_sets_it_aside(stage: Stage) {
    let org = stage.org().await;
    let suspect = charged_twice(&stage, org).await;
    let me = stage.worker().await;
    room(&stage, me).await;
    alone(&stage, me).await.unwrap();
    assert_eq!(stage.everyone_dies().await.quarantined, [suspect]);
    assert_eq!(stage.row(suspect).await.crashes, 3);
}

async fn a_death_beside_another_is_not_its_own(stage: Stage) {
    let org = stage.org().await;
    let suspect = charged_twice(&stage, org).await;
    let me = stage.worker().await;
    room(&stage, me).await;
    alone(&stage, me).await.unwrap();
    stage.jobs().leave_room(me).await.unwrap();
    let fresh = stage.add(noop(org)).await.id;
    stage.start(me, fresh).await;
    assert_eq!(stage.everyone_dies().await.requeued.len(), 2);
    let crashes = (
        stage.row(suspect).await.crashes,
        stage.row(fresh).await.crashes,
    );
    assert_eq!(crashes, (2, 1));
}

async fn room_is_made_for_what_may_run(stage: Stage) {
    let org = stage.org().await;
    let later = charged_twice(&stage, org).await;
    let in_lane = stage.add(in_lane(org, "one")).await.id;
    die_twice(&stage, in_lane).await;
    let sql = "update jobs set run_at = '2100-01-01T00:00:00+00:00' where lane is null";
    stage.sql(sql).await.unwrap();
    let (me, other) = (stage.worker().await, stage.worker().await);
    assert_eq!(room(&stage, me).await, Some(in_lane));
    let tx = stage.store.begin().await.unwrap();
    stage.jobs().cancel(&tx, org, in_lane).await.unwrap();
    tx.commit().await.unwrap();
    assert!(alone(&stage, me).await.is_none());
    assert_eq!(room(&stage, me).await, None, "one waits for its time");
    assert_eq!(room(&stage, other).await, None);
    assert_eq!(stage.state(later).await, JobState::Queued);
}

async fn a_dead_process_makes_room_for_nothing(stage: Stage) {
    let org = stage.org().await;
    let suspect = charged_twice(&stage, org).await;
    let (dead, left) = (stage.worker().await, stage.worker().await);
    assert_eq!(room(&stage, dead).await, Some(suspect));
    stage.everyone_dies().await;
    assert_eq!(room(&stage, dead).await, None);
    assert_eq!(room(&stage, left).await, None);
    let me = stage.worker().await;
    assert_eq!(room(&stage, me).await, Some(suspect));
    stage.jobs().leave(me).await.unwrap();
    let next = stage.worker().await;
    assert_eq!(room(&stage, next).await, Some(suspect));
}

async fn progress_makes_it_a_job_like_any_other(stage: Stage) {
    let org = stage.org().await;
    charged_twice(&stage, org).await;
    let me = stage.worker().await;
    room(&stage, me).await;
    let claimed = alone(&stage, me).await.unwrap();
    let tx = stage.store.begin().await.unwrap();
    let (jobs, progress) = (stage.jobs(), Default::default());
    jobs.checkpoint(&tx, lease(&claimed), &progress, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(room(&stage, me).await, None, "it needs no room any more");
}

async fn an_answer_is_no_death_and_leaves_one(stage: Stage) {
    let org = stage.org().await;
    let answers = [
        (retry_after(0), 1),
        (snooze(0), 1),
        (park(None), 1),
        (Settle::Release, 2),
    ];
    for (answer, left) in answers {
        let suspect = charged_twice(&stage, org).await;
        let me = stage.worker().await;
        assert_eq!(room(&stage, me).await, Some(suspect));
        let claimed = alone(&stage, me).await.unwrap();
        let said = format!("{answer:?}");
        stage.settle(lease(&claimed), answer).await.unwrap();
        assert_eq!(stage.row(suspect).await.crashes, left, "{said}");
        stage.cancel(org, suspect).await;
        stage.jobs().leave(me).await.unwrap();
    }
}

async fn half_of_the_workers_make_room_and_no_more(stage: Stage) {
    let org = stage.org().await;
    for _ in 0..3 {
        charged_twice(&stage, org).await;
    }
    // Whoever rescued is gone.
    stage.seconds(7).await;
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(stage.worker().await);
    }
    for (worker, makes_room) in workers.iter().zip([true, true, false, false]) {
        assert_eq!(room(&stage, *worker).await.is_some(), makes_room);
    }
    stage.jobs().leave_room(workers[0]).await.unwrap();
    assert!(room(&stage, workers[3]).await.is_some());
    assert!(room(&stage, workers[0]).await.is_none());
}
