//! A claim that takes several statements, on PostgreSQL, and is cut short by an error:
//! what the earlier ones claimed is answered all the same.

use patchbay_core::{
    ids::{JobId, OrgId},
    job::{JobState, Queue},
};

use crate::stage::{Stage, ids, noop};

/// From now on a start of this job fails with this code.
async fn refuse_start(stage: &Stage, job: JobId, name: &str, code: &str) {
    let sql = format!(
        "create function {name}() returns trigger language plpgsql as $$
             begin raise exception 'refused' using errcode = '{code}'; end $$;
         create trigger {name} before update on jobs for each row
         when (new.id = '{job}' and new.state = 'running') execute function {name}()"
    );
    stage.sql(&sql).await.unwrap();
}

#[tokio::test]
async fn a_claim_one_by_one_answers_what_came_before_an_error() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let jobs: Vec<JobId> = stage
        .enqueue(vec![noop(org); 12])
        .await
        .iter()
        .map(|answer| answer.job().id)
        .collect();
    refuse_start(&stage, jobs[1], "taken_lane", "unique_violation").await;
    refuse_start(&stage, jobs[11], "disk_full", "disk_full").await;
    let mut claimed = ids(&stage.claim(me, &jobs).await);
    claimed.sort_unstable();
    let mut running = Vec::new();
    for id in &jobs {
        if stage.state(*id).await == JobState::Running {
            running.push(*id);
        }
    }
    // The first may fall away: the refused batch lets go of its rows after it has answered.
    assert!(!claimed.is_empty());
    assert_eq!(claimed, running);
    assert!(
        stage
            .jobs()
            .claim(me, Queue::Sync, &[jobs[11]])
            .await
            .is_err(),
        "with nothing claimed the error is told"
    );
}

#[tokio::test]
async fn a_direct_claim_answers_the_rounds_before_an_error() {
    let stage = Stage::postgres().await;
    let me = stage.worker().await;
    let rich = stage.org().await;
    let mut wanted = vec![noop(rich); 10];
    for _ in 0..3 {
        wanted.push(noop(stage.org().await));
    }
    let jobs: Vec<JobId> = stage
        .enqueue(wanted)
        .await
        .iter()
        .map(|answer| answer.job().id)
        .collect();
    // Twice the even share of ten among four orgs is six; the seventh is the next round's.
    refuse_start(&stage, jobs[6], "disk_full", "disk_full").await;
    let claimed = stage
        .jobs()
        .claim_due(me, Queue::Sync, 10, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    assert_eq!(claimed.len(), 9);
    assert!(
        stage
            .jobs()
            .claim_due(me, Queue::Sync, 10, OrgId::DEPLOYMENT, &[])
            .await
            .is_err(),
        "with nothing claimed the error is told"
    );
}
