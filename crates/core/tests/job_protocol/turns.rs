//! Step 3 without hints: orgs take turns.

use std::collections::BTreeMap;

use patchbay_core::{
    ids::OrgId,
    job::{JobKind, NewJob, Queue},
};

use crate::{
    on_both,
    stage::{Stage, lease, noop, snooze},
};

on_both! {
    a_flood_of_one_org_leaves_the_others_their_turns,
    a_claim_is_filled_from_the_flood_when_the_others_are_served,
    turns_begin_after_the_org_that_was_served_last_and_go_round,
    skipped_orgs_are_passed_over,
    an_org_whose_jobs_all_wait_does_not_use_up_a_turn,
    jobs_of_the_deployment_take_a_turn_of_their_own,
    of_an_org_the_job_that_is_due_longest_goes_first,
    a_process_without_a_live_lease_claims_nothing_directly,
    due_jobs_for_hints_are_bounded_per_org_and_in_all,
    due_jobs_for_hints_are_not_claimed_by_asking,
    a_held_suspect_does_not_hide_other_orgs,
}

async fn orgs(stage: &Stage, jobs_each: &[usize]) -> Vec<OrgId> {
    let mut orgs = Vec::new();
    for _ in jobs_each {
        orgs.push(stage.org().await);
    }
    orgs.sort_unstable();
    for (org, jobs) in orgs.iter().zip(jobs_each) {
        stage.enqueue(vec![noop(*org); *jobs]).await;
    }
    orgs
}

async fn claim(stage: &Stage, limit: usize, after: OrgId, skip: &[OrgId]) -> Vec<OrgId> {
    let me = stage.worker().await;
    let claimed = stage
        .jobs()
        .claim_due(me, Queue::Sync, limit, after, skip)
        .await
        .unwrap();
    claimed
        .iter()
        .map(|job| job.org_id.unwrap_or(OrgId::DEPLOYMENT))
        .collect()
}

async fn a_flood_of_one_org_leaves_the_others_their_turns(stage: Stage) {
    let orgs = orgs(&stage, &[500, 2, 2]).await;
    let claimed = claim(&stage, 3, OrgId::DEPLOYMENT, &[]).await;
    assert_eq!(claimed, orgs);
}

async fn a_claim_is_filled_from_the_flood_when_the_others_are_served(stage: Stage) {
    let orgs = orgs(&stage, &[500, 2, 1]).await;
    let claimed = claim(&stage, 100, OrgId::DEPLOYMENT, &[]).await;
    let mut count: BTreeMap<OrgId, usize> = BTreeMap::new();
    for org in &claimed {
        *count.entry(*org).or_default() += 1;
    }
    assert_eq!(count.into_values().collect::<Vec<_>>(), [97, 2, 1]);
    assert_eq!(
        claimed[..5],
        [orgs[0], orgs[1], orgs[2], orgs[0], orgs[1]],
        "one of each in turn"
    );
}

async fn turns_begin_after_the_org_that_was_served_last_and_go_round(stage: Stage) {
    let orgs = orgs(&stage, &[5, 5, 5]).await;
    assert_eq!(claim(&stage, 2, orgs[1], &[]).await, [orgs[2], orgs[0]]);
    assert_eq!(
        claim(&stage, 3, orgs[0], &[]).await,
        [orgs[1], orgs[2], orgs[0]]
    );
}

async fn skipped_orgs_are_passed_over(stage: Stage) {
    let orgs = orgs(&stage, &[5, 5, 5]).await;
    assert_eq!(
        claim(&stage, 2, OrgId::DEPLOYMENT, &[orgs[0]]).await,
        [orgs[1], orgs[2]]
    );
    assert!(claim(&stage, 2, OrgId::DEPLOYMENT, &orgs).await.is_empty());
}

async fn an_org_whose_jobs_all_wait_does_not_use_up_a_turn(stage: Stage) {
    let orgs = orgs(&stage, &[1, 1]).await;
    let me = stage.worker().await;
    let first = stage
        .jobs()
        .claim_due(me, Queue::Sync, 1, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    assert_eq!(first[0].org_id, Some(orgs[0]));
    stage.settle(lease(&first[0]), snooze(60)).await.unwrap();
    assert_eq!(claim(&stage, 1, OrgId::DEPLOYMENT, &[]).await, [orgs[1]]);
}

async fn jobs_of_the_deployment_take_a_turn_of_their_own(stage: Stage) {
    let org = stage.org().await;
    stage.enqueue(vec![noop(org), noop(org)]).await;
    stage
        .add(NewJob::new(None, JobKind::Noop, Queue::Sync, "schedule"))
        .await;
    assert_eq!(
        claim(&stage, 1, OrgId::DEPLOYMENT, &[OrgId::DEPLOYMENT]).await,
        [org]
    );
    assert_eq!(claim(&stage, 2, org, &[]).await, [OrgId::DEPLOYMENT, org]);
}

async fn of_an_org_the_job_that_is_due_longest_goes_first(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let late = NewJob {
        delay: std::time::Duration::from_secs(3),
        ..noop(org)
    };
    let second = stage.add(late).await;
    let first = stage.add(noop(org)).await;
    stage.seconds(4).await;
    let claimed = stage
        .jobs()
        .claim_due(me, Queue::Sync, 2, org, &[])
        .await
        .unwrap();
    assert_eq!(crate::stage::ids(&claimed), [first.id, second.id]);
}

async fn a_process_without_a_live_lease_claims_nothing_directly(stage: Stage) {
    orgs(&stage, &[3]).await;
    let me = stage.worker().await;
    stage.seconds(6).await;
    assert!(
        stage
            .jobs()
            .claim_due(me, Queue::Sync, 3, OrgId::DEPLOYMENT, &[])
            .await
            .unwrap()
            .is_empty()
    );
}

async fn due_jobs_for_hints_are_bounded_per_org_and_in_all(stage: Stage) {
    let orgs = orgs(&stage, &[50, 50, 1]).await;
    let turns = |due: Vec<patchbay_core::store::jobs::Due>| {
        due.into_iter().map(|due| due.turn).collect::<Vec<_>>()
    };
    let two_each = stage
        .jobs()
        .due(Queue::Sync, 2, 100, OrgId::DEPLOYMENT)
        .await
        .unwrap();
    assert_eq!(
        turns(two_each),
        [orgs[0], orgs[1], orgs[2], orgs[0], orgs[1]]
    );
    let three = stage.jobs().due(Queue::Sync, 10, 3, orgs[0]).await.unwrap();
    assert_eq!(turns(three), [orgs[1], orgs[2], orgs[0]]);
    assert!(
        stage
            .jobs()
            .due(Queue::Webhook, 10, 10, OrgId::DEPLOYMENT)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn due_jobs_for_hints_are_not_claimed_by_asking(stage: Stage) {
    orgs(&stage, &[1]).await;
    let first = stage
        .jobs()
        .due(Queue::Sync, 2, 100, OrgId::DEPLOYMENT)
        .await
        .unwrap();
    assert_eq!(
        stage
            .jobs()
            .due(Queue::Sync, 2, 100, OrgId::DEPLOYMENT)
            .await
            .unwrap(),
        first
    );
    assert_eq!(first.len(), 1);
}

async fn a_held_suspect_does_not_hide_other_orgs(stage: Stage) {
    let all = orgs(&stage, &[2, 2]).await;
    let victim = stage.worker().await;
    let of_first = stage
        .jobs()
        .claim_due(victim, Queue::Sync, 2, OrgId::DEPLOYMENT, &[all[1]])
        .await
        .unwrap();
    assert_eq!(of_first.len(), 2);
    stage.everyone_dies().await;
    let me = stage.worker().await;
    let first = stage
        .jobs()
        .claim_due(me, Queue::Sync, 1, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    assert_eq!((first[0].org_id, first[0].crashes), (Some(all[0]), 1));
    let second = stage
        .jobs()
        .claim_due(me, Queue::Sync, 1, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    assert_eq!(second[0].org_id, Some(all[1]));
}
