//! At most one job of a lane runs at a time, the oldest first.

use std::time::Duration;

use patchbay_core::{
    ids::OrgId,
    job::{JobState, NewJob, Queue},
};

use crate::{
    on_both,
    stage::{Stage, ids, in_lane, of_connection, snooze, succeed},
};

on_both! {
    of_a_lane_the_oldest_goes_first,
    a_lane_is_busy_while_one_of_its_jobs_runs,
    other_lanes_go_on,
    an_older_job_that_waits_for_later_holds_its_lane,
    a_parked_job_does_not_hold_its_lane,
    the_database_refuses_a_second_running_job_of_a_lane,
    a_direct_claim_takes_only_heads_of_free_lanes,
    a_long_lane_does_not_hide_the_other_jobs_of_its_org,
    a_lane_over_two_queues_runs_one_job_at_a_time,
}

async fn of_a_lane_the_oldest_goes_first(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let first = stage.add(in_lane(org, "a")).await;
    let second = stage.add(in_lane(org, "a")).await;
    assert!(stage.claim(me, &[second.id]).await.is_empty());
    assert_eq!(
        ids(&stage.claim(me, &[second.id, first.id]).await),
        [first.id]
    );
}

async fn a_lane_is_busy_while_one_of_its_jobs_runs(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let first = stage.add(in_lane(org, "a")).await;
    let lease = stage.start(me, first.id).await;
    let second = stage.add(in_lane(org, "a")).await;
    assert!(stage.claim(me, &[second.id]).await.is_empty());
    stage.settle(lease, succeed()).await.unwrap();
    assert_eq!(stage.claim(me, &[second.id]).await.len(), 1);
}

async fn other_lanes_go_on(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let first = stage.add(in_lane(org, "a")).await;
    stage.start(me, first.id).await;
    let other = stage.add(in_lane(org, "b")).await;
    assert_eq!(stage.claim(me, &[other.id]).await.len(), 1);
}

async fn an_older_job_that_waits_for_later_holds_its_lane(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let first = stage.add(in_lane(org, "a")).await;
    let second = stage.add(in_lane(org, "a")).await;
    let lease = stage.start(me, first.id).await;
    stage.settle(lease, snooze(5)).await.unwrap();
    assert!(stage.claim(me, &[first.id, second.id]).await.is_empty());
    stage.seconds(5).await;
    assert_eq!(
        ids(&stage.claim(me, &[first.id, second.id]).await),
        [first.id]
    );
}

async fn a_parked_job_does_not_hold_its_lane(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let first = stage
        .add(NewJob {
            connection: Some(connection),
            ..in_lane(org, "a")
        })
        .await;
    let second = stage.add(in_lane(org, "a")).await;
    let lease = stage.start(me, first.id).await;
    stage.refuse(lease).await.unwrap();
    assert_eq!(stage.state(first.id).await, JobState::Parked);
    assert_eq!(stage.claim(me, &[second.id]).await.len(), 1);
}

async fn the_database_refuses_a_second_running_job_of_a_lane(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let first = stage.add(in_lane(org, "a")).await;
    stage.start(me, first.id).await;
    stage.add(in_lane(org, "a")).await;
    let error = stage
        .sql(
            "update jobs set state = 'running', lease_epoch = lease_epoch + 1,
             leased_by = (select id from processes limit 1) where state = 'queued'",
        )
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("jobs_lane_running") || text.contains("jobs.lane"),
        "{text}"
    );
}

async fn a_direct_claim_takes_only_heads_of_free_lanes(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let busy = stage.add(in_lane(org, "busy")).await;
    stage.start(me, busy.id).await;
    stage.add(in_lane(org, "busy")).await;
    let head = stage.add(in_lane(org, "free")).await;
    stage.add(in_lane(org, "free")).await;
    let due = stage
        .jobs()
        .due(Queue::Sync, 10, 10, OrgId::DEPLOYMENT)
        .await
        .unwrap();
    assert_eq!(due.iter().map(|due| due.job).collect::<Vec<_>>(), [head.id]);
    let claimed = stage
        .jobs()
        .claim_due(me, Queue::Sync, 10, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    assert_eq!(ids(&claimed), [head.id]);
}

async fn a_long_lane_does_not_hide_the_other_jobs_of_its_org(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let running = stage.add(in_lane(org, "long")).await;
    stage.start(me, running.id).await;
    stage.enqueue(vec![in_lane(org, "long"); 300]).await;
    stage.advance(Duration::from_millis(1)).await;
    let behind = stage.add(in_lane(org, "short")).await;
    let claimed = stage
        .jobs()
        .claim_due(me, Queue::Sync, 1, OrgId::DEPLOYMENT, &[])
        .await
        .unwrap();
    assert_eq!(ids(&claimed), [behind.id]);
}

async fn a_lane_over_two_queues_runs_one_job_at_a_time(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let lane = Some(format!("{connection}"));
    let first = stage
        .add(NewJob {
            queue: Queue::Interactive,
            lane: lane.clone(),
            ..of_connection(org, connection)
        })
        .await;
    let second = stage
        .add(NewJob {
            lane,
            ..of_connection(org, connection)
        })
        .await;
    assert_eq!(
        stage
            .jobs()
            .claim(me, Queue::Interactive, &[first.id])
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(stage.claim(me, &[second.id]).await.is_empty());
    assert!(
        stage
            .jobs()
            .claim_due(me, Queue::Sync, 1, OrgId::DEPLOYMENT, &[])
            .await
            .unwrap()
            .is_empty()
    );
}
