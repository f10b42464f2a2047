//! What the state of a connection does to its schedules.

use patchbay_core::{
    connection::ConnectionStatus,
    entities::{connection, schedule, schedule_tick},
    schedule::TickOutcome,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::json;

use super::{every, of};
use crate::{on_both, stage::Stage};

on_both! {
    the_status_decides_whether_a_tick_has_a_job,
    a_capability_that_is_off_holds_its_stream_only,
    a_disconnect_takes_the_schedules_along,
    a_disconnect_beside_a_tick_leaves_no_open_job,
}

async fn the_status_decides_whether_a_tick_has_a_job(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    for (status, outcome) in [
        (ConnectionStatus::Active, TickOutcome::Made),
        (ConnectionStatus::Error, TickOutcome::Made),
        (ConnectionStatus::Expired, TickOutcome::Made),
        (ConnectionStatus::Disabled, TickOutcome::Held),
        (ConnectionStatus::Pending, TickOutcome::Held),
    ] {
        let connection = stage.connection(org).await;
        stage.status(connection, status).await;
        let schedule = stage.schedule(of(org, connection, every("1m"))).await;
        stage.until_due(schedule.id).await;
        stage.tick().await;
        assert_eq!(stage.outcomes(schedule.id).await, [outcome], "{status:?}");
        let row = stage.schedule_row(schedule.id).await;
        assert_eq!(row.last_outcome, Some(outcome));
        assert_eq!(row.last_job_id.is_some(), outcome == TickOutcome::Made);
        assert!(row.next_at > schedule.next_at, "it goes on");
    }
}

async fn a_capability_that_is_off_holds_its_stream_only(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let row = connection::ActiveModel {
        id: Set(connection),
        capabilities_off: Set(json!(["sync_sales"])),
        ..Default::default()
    };
    row.update(stage.store.db()).await.unwrap();
    let mut sales = of(org, connection, every("1m"));
    (sales.stream, sales.capability) = ("sales".into(), "sync_sales".into());
    let sales = stage.schedule(sales).await;
    let catalog = stage.schedule(of(org, connection, every("1m"))).await;
    stage.until_due(sales.id).await;
    stage.tick().await;
    assert_eq!(stage.outcomes(sales.id).await, [TickOutcome::Held]);
    assert_eq!(stage.outcomes(catalog.id).await, [TickOutcome::Made]);
}

async fn disconnect(
    stage: &Stage,
    org: patchbay_core::ids::OrgId,
    id: patchbay_core::ids::ConnectionId,
) {
    let tx = stage.store.begin().await.unwrap();
    let row = stage
        .store
        .lock_connection(&tx, org, id)
        .await
        .unwrap()
        .unwrap();
    stage.store.disconnect(&tx, &row, "test").await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_disconnect_takes_the_schedules_along(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let (gone, stays) = (stage.connection(org).await, stage.connection(org).await);
    let schedule = stage.schedule(of(org, gone, every("1m"))).await;
    let other = stage.schedule(of(org, stays, every("1m"))).await;
    stage.seconds(60).await;
    stage.tick().await;
    disconnect(&stage, org, gone).await;
    let db = stage.store.db();
    assert!(
        schedule::Entity::find_by_id(schedule.id)
            .one(db)
            .await
            .unwrap()
            .is_none()
    );
    let ticks = schedule_tick::Entity::find().all(db).await.unwrap();
    assert!(ticks.iter().all(|tick| tick.schedule_id == other.id));
    stage.seconds(120).await;
    assert_eq!(stage.tick().await, 1, "the other connection's");
}

async fn a_disconnect_beside_a_tick_leaves_no_open_job(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    for _ in 0..10 {
        let connection = stage.connection(org).await;
        for _ in 0..3 {
            stage.schedule(of(org, connection, every("1m"))).await;
        }
        stage.seconds(60).await;
        let tick = async { stage.store.tick_schedules(100).await };
        let (ticked, ()) = tokio::join!(tick, disconnect(&stage, org, connection));
        ticked.unwrap();
        stage.tick().await;
        let open: Vec<_> = stage
            .all_jobs()
            .await
            .into_iter()
            .filter(|job| !job.state.is_end())
            .collect();
        assert!(open.is_empty(), "{open:?}");
    }
}
