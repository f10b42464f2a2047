//! Jobs of a kind that only a newer version knows, as they come up while a fleet is upgraded
//! or after it was rolled back: they stay queued, uncharged, and hold up nobody but the jobs
//! behind them in their own lane.

use patchbay_core::{
    ids::{JobId, OrgId},
    job::Queue,
};
use sea_orm::{ConnectionTrait, Statement};

use crate::{
    on_both,
    stage::{Stage, ids, in_lane, noop},
};

on_both! {
    a_hint_for_an_unknown_kind_falls_away_and_the_others_start,
    a_direct_claim_passes_over_unknown_kinds,
    an_org_with_unknown_kinds_alone_does_not_use_up_a_turn,
    a_flood_of_unknown_kinds_costs_nobody_else_a_turn,
    unknown_kinds_are_not_hinted,
    a_lane_waits_for_its_unknown_head,
    a_job_starts_once_its_kind_is_known,
}

/// A newer version has asked for this job.
async fn from_the_future(stage: &Stage, job: JobId) {
    kind(stage, job, "from_the_future").await;
}

async fn kind(stage: &Stage, job: JobId, kind: &str) {
    let backend = stage.store.db().get_database_backend();
    let sql = if stage.is_sqlite() {
        "update jobs set kind = ?1 where id = ?2"
    } else {
        "update jobs set kind = $1 where id = $2"
    };
    let update = Statement::from_sql_and_values(backend, sql, [kind.into(), job.into()]);
    let changed = stage.store.db().execute_raw(update).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
}

/// It waits as it did at first. (The entity cannot read it.)
async fn is_untouched(stage: &Stage, job: JobId) {
    kind(stage, job, "noop").await;
    let row = stage.row(job).await;
    assert_eq!(
        (row.state, row.attempt, row.crashes, row.lease_epoch),
        (patchbay_core::job::JobState::Queued, 0, 0, 0)
    );
    assert_eq!((row.started_at, row.error), (None, None));
}

async fn claim_due(stage: &Stage, limit: usize) -> Vec<JobId> {
    let me = stage.worker().await;
    let claimed = stage
        .jobs()
        .claim_due(me, Queue::Sync, limit, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    ids(&claimed)
}

async fn three(stage: &Stage, org: OrgId) -> [JobId; 3] {
    let mut jobs = Vec::new();
    for answer in stage.enqueue(vec![noop(org); 3]).await {
        jobs.push(answer.job().id);
    }
    jobs.try_into().unwrap()
}

async fn a_hint_for_an_unknown_kind_falls_away_and_the_others_start(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let jobs = three(&stage, org).await;
    from_the_future(&stage, jobs[1]).await;
    let claimed = stage.claim(me, &jobs).await;
    assert_eq!(ids(&claimed), [jobs[0], jobs[2]]);
    assert!(stage.claim(me, &jobs).await.is_empty());
    is_untouched(&stage, jobs[1]).await;
}

async fn a_direct_claim_passes_over_unknown_kinds(stage: Stage) {
    let org = stage.org().await;
    let jobs = three(&stage, org).await;
    from_the_future(&stage, jobs[0]).await;
    assert_eq!(claim_due(&stage, 1).await, [jobs[1]]);
    assert_eq!(claim_due(&stage, 5).await, [jobs[2]]);
    is_untouched(&stage, jobs[0]).await;
}

async fn an_org_with_unknown_kinds_alone_does_not_use_up_a_turn(stage: Stage) {
    let mut orgs = [stage.org().await, stage.org().await];
    orgs.sort_unstable();
    let first = three(&stage, orgs[0]).await;
    for job in first {
        from_the_future(&stage, job).await;
    }
    let second = three(&stage, orgs[1]).await;
    assert_eq!(claim_due(&stage, 1).await, [second[0]]);
    assert_eq!(claim_due(&stage, 9).await, second[1..]);
}

async fn a_flood_of_unknown_kinds_costs_nobody_else_a_turn(stage: Stage) {
    let mut orgs = [stage.org().await, stage.org().await];
    orgs.sort_unstable();
    stage.enqueue(vec![noop(orgs[0]); 1_100]).await;
    stage
        .sql("update jobs set kind = 'from_the_future'")
        .await
        .unwrap();
    let behind = stage.add(noop(orgs[0])).await.id;
    let beside = stage.add(noop(orgs[1])).await.id;
    // A direct claim looks at a thousand of them; what is behind has its hint.
    assert_eq!(claim_due(&stage, 5).await, [beside]);
    let me = stage.worker().await;
    assert_eq!(ids(&stage.claim(me, &[behind]).await), [behind]);
}

async fn unknown_kinds_are_not_hinted(stage: Stage) {
    let org = stage.org().await;
    let jobs = three(&stage, org).await;
    from_the_future(&stage, jobs[0]).await;
    let due = stage
        .jobs()
        .due(Queue::Sync, 1, 10, OrgId::DEPLOYMENT)
        .await
        .unwrap();
    assert_eq!(due.iter().map(|due| due.job).collect::<Vec<_>>(), [jobs[1]]);
}

async fn a_lane_waits_for_its_unknown_head(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let head = stage.add(in_lane(org, "a")).await.id;
    let behind = stage.add(in_lane(org, "a")).await.id;
    let beside = stage.add(in_lane(org, "b")).await.id;
    from_the_future(&stage, head).await;
    assert_eq!(
        ids(&stage.claim(me, &[head, behind, beside]).await),
        [beside]
    );
    assert!(claim_due(&stage, 5).await.is_empty());
    kind(&stage, head, "noop").await;
    assert_eq!(claim_due(&stage, 5).await, [head]);
}

async fn a_job_starts_once_its_kind_is_known(stage: Stage) {
    let org = stage.org().await;
    let jobs = three(&stage, org).await;
    from_the_future(&stage, jobs[2]).await;
    assert_eq!(claim_due(&stage, 5).await, jobs[..2]);
    // The upgrade has come to this worker.
    kind(&stage, jobs[2], "noop").await;
    assert_eq!(claim_due(&stage, 5).await, [jobs[2]]);
}
