//! What waits for schedulers is seen before they come.

use std::time::Duration;

use patchbay_core::{
    entities::credential,
    ids::{ConnectionId, JobId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, prelude::DateTimeUtc, sea_query::Expr};

use crate::{
    on_both,
    stage::{Stage, noop},
};

on_both! {
    a_dead_process_lags_as_long_as_jobs_are_its_own,
    a_refresh_lags_from_when_it_is_due,
}

async fn a_dead_process_lags_as_long_as_jobs_are_its_own(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let lag = async || stage.store.rescue_lag().await.unwrap();
    let org = stage.org().await;
    let job: JobId = stage.add(noop(org)).await.id;
    let idle = stage.worker().await;
    let worker = stage.worker().await;
    stage.start(worker, job).await;
    assert_eq!(lag().await, Duration::ZERO);
    stage.seconds(36).await;
    assert_eq!(lag().await, Duration::from_secs(30), "its lease was of six");
    stage.everyone_dies().await;
    assert_eq!(lag().await, Duration::ZERO, "{idle} holds none");
}

async fn due(stage: &Stage, connection: ConnectionId, at: Option<DateTimeUtc>) {
    use credential::Column;
    credential::Entity::update_many()
        .col_expr(Column::RefreshDueAt, Expr::value(at))
        .filter(Column::ConnectionId.eq(connection))
        .exec(stage.store.db())
        .await
        .unwrap();
}

async fn a_refresh_lags_from_when_it_is_due(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let lag = async || stage.store.refresh_lag().await.unwrap();
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    due(&stage, connection, Some(stage.store.clock().now())).await;
    assert_eq!(lag().await, Duration::ZERO);
    stage.seconds(90).await;
    assert_eq!(lag().await, Duration::from_secs(90));
    let tx = stage.store.begin().await.unwrap();
    let taken = stage.store.take_due_refreshes(&tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((taken.len(), lag().await), (1, Duration::ZERO));
    stage.seconds(600).await;
    stage.revoke(connection).await;
    assert_eq!(lag().await, Duration::ZERO, "nobody refreshes it any more");
}
