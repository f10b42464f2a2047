//! What waits for a worker is told; what waits for its turn is not.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    alerts::AlertKind,
    entities::{
        alert,
        job::{Column, Entity, Model as Job},
    },
    ids::{JobId, ProcessId},
    job::{JobKind, Lease, NewJob, Queue, Settle, Settlement},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    what_waits_behind_a_job_that_runs_is_told_when_its_lane_is_free_and_nobody_comes,
    what_waits_behind_a_job_that_is_not_due_yet_is_not_told,
    what_waits_for_room_to_run_alone_is_not_told,
    an_alert_is_over_when_what_is_left_waits_for_its_turn,
);

/// Queued an hour ago, in this order, in one lane or in none.
async fn queued(desk: &Desk, lane: Option<&str>, count: usize) -> Vec<JobId> {
    let office = &desk.office;
    let job = NewJob {
        lane: lane.map(str::to_owned),
        ..NewJob::new(Some(office.org), JobKind::Noop, Queue::Sync, "test")
    };
    let store = &office.ctx.store;
    let tx = store.begin().await.unwrap();
    let jobs = store.jobs().enqueue(&tx, vec![job; count]).await.unwrap();
    tx.commit().await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.job().id).collect();
    let hour_ago = office.ctx.clock.now() - TimeDelta::hours(1);
    set(desk, &ids, Column::RunAt, hour_ago).await;
    ids
}

async fn set(desk: &Desk, ids: &[JobId], column: Column, value: impl Into<sea_orm::Value>) {
    Entity::update_many()
        .col_expr(column, Expr::value(value))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(desk.office.ctx.store.db())
        .await
        .unwrap();
}

async fn claim(desk: &Desk, id: JobId) -> Job {
    let store = &desk.office.ctx.store;
    let me = ProcessId::new(store.clock());
    store.jobs().register(me, "worker", "test").await.unwrap();
    let claimed = store.jobs().claim(me, Queue::Sync, &[id]).await.unwrap();
    claimed.into_iter().next().expect("its lane is free")
}

async fn succeed(desk: &Desk, job: &Job) {
    let settlement = Settlement {
        lease: Lease {
            job: job.id,
            epoch: job.lease_epoch,
        },
        end: Settle::Succeed { result: json!({}) },
    };
    let jobs = desk.office.ctx.store.jobs();
    assert_eq!(jobs.settle(&[settlement]).await.unwrap().len(), 1);
}

/// Whether a look finds that jobs wait too long.
async fn is_told(desk: &Desk) -> bool {
    desk.look().await;
    let open = alert::Entity::find()
        .filter(alert::Column::Kind.eq(AlertKind::QueueOld))
        .filter(alert::Column::ResolvedAt.is_null());
    let open = open.one(desk.office.ctx.store.db()).await.unwrap();
    open.is_some()
}

async fn what_waits_behind_a_job_that_runs_is_told_when_its_lane_is_free_and_nobody_comes(
    desk: Desk,
) {
    let jobs = queued(&desk, Some("till:sales"), 3).await;
    let first = claim(&desk, jobs[0]).await;
    assert!(!is_told(&desk).await, "a worker is at it");
    succeed(&desk, &first).await;
    assert!(is_told(&desk).await, "nobody is");
    claim(&desk, jobs[1]).await;
    assert!(!is_told(&desk).await, "somebody is again");
}

async fn what_waits_behind_a_job_that_is_not_due_yet_is_not_told(desk: Desk) {
    let jobs = queued(&desk, Some("till:sales"), 2).await;
    assert!(is_told(&desk).await);
    let in_an_hour: DateTime<Utc> = desk.office.ctx.clock.now() + TimeDelta::hours(1);
    set(&desk, &jobs[..1], Column::RunAt, in_an_hour).await;
    assert!(!is_told(&desk).await, "the oldest is tried again later");
    queued(&desk, Some("till:catalog"), 1).await;
    assert!(is_told(&desk).await, "another lane is not held");
}

async fn what_waits_for_room_to_run_alone_is_not_told(desk: Desk) {
    let free = queued(&desk, None, 1).await;
    let laned = queued(&desk, Some("till:sales"), 2).await;
    assert!(is_told(&desk).await);
    set(&desk, &[free[0], laned[0]], Column::Crashes, 2).await;
    assert!(!is_told(&desk).await);
    set(&desk, &free, Column::Crashes, 1).await;
    assert!(is_told(&desk).await, "that one runs beside others");
}

async fn an_alert_is_over_when_what_is_left_waits_for_its_turn(desk: Desk) {
    let free = queued(&desk, None, 1).await;
    let laned = queued(&desk, Some("till:sales"), 2).await;
    assert!(is_told(&desk).await);
    claim(&desk, laned[0]).await;
    assert!(is_told(&desk).await, "one without a lane waits still");
    claim(&desk, free[0]).await;
    assert!(!is_told(&desk).await);
}
