//! A run that ends without an answer of its body is a failure of its connection like any other.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    connection::ConnectionStatus,
    entities::{connection, job},
    hints::MemoryHints,
    ids::{ConnectionId, OrgId},
    job::{JobKind, JobState, NewJob},
    store::connections::{Inserted, NewConnection},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
};
use serde_json::json;

use super::stage::{Stage, noop, sleep_ms, until};

#[tokio::test]
async fn panics_and_deadlines_are_counted_on_their_connection_on_postgres() {
    counts(Stage::on_postgres(Arc::new(MemoryHints::new())).await).await;
}

#[tokio::test]
async fn panics_and_deadlines_are_counted_on_their_connection_on_sqlite() {
    counts(Stage::on_sqlite().await).await;
}

async fn connected(stage: &Stage, org: OrgId) -> ConnectionId {
    let store = &stage.ctx.store;
    let tx = store.begin().await.unwrap();
    let new = NewConnection {
        org,
        provider: "square".into(),
        name: "Till".into(),
        config: json!({}),
        exclusive: false,
        created_by: "test".into(),
    };
    let Inserted::New(row) = store.insert_connection(&tx, new).await.unwrap() else {
        panic!("not exclusive")
    };
    let active = connection::ActiveModel {
        id: Set(row.id),
        status: Set(ConnectionStatus::Active),
        ..Default::default()
    };
    active.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
    row.id
}

async fn row(stage: &Stage, org: OrgId, id: ConnectionId) -> connection::Model {
    let store = &stage.ctx.store;
    store
        .connection(store.db(), org, id)
        .await
        .unwrap()
        .unwrap()
}

/// Checks of a connection that wait: nobody serves their queue here.
async fn checks(stage: &Stage, id: ConnectionId) -> u64 {
    job::Entity::find()
        .filter(job::Column::ConnectionId.eq(id))
        .filter(job::Column::Kind.eq(JobKind::HealthCheck))
        .count(stage.ctx.store.db())
        .await
        .unwrap()
}

async fn counts(stage: Stage) {
    let org = stage.org().await;
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(connected(&stage, org).await);
    }
    let panics = json!({ "panic": "the third wheel came off" });
    let given_up = NewJob {
        max_attempts: 1,
        ..noop(org, panics.clone())
    };
    let too_slow = NewJob {
        timeout: Duration::from_secs(1),
        ..noop(org, sleep_ms(60_000))
    };
    let jobs = [given_up, noop(org, panics), too_slow, noop(org, json!({}))];
    let jobs = jobs.into_iter().zip(&connections).map(|(job, at)| NewJob {
        connection: Some(*at),
        ..job
    });
    let jobs = stage.enqueue_unhinted(jobs.collect()).await;
    let worker = stage.worker(8);
    stage.until_all(&jobs[..1], JobState::Failed).await;
    stage.until_all(&jobs[3..], JobState::Succeeded).await;
    until("the others are settled, to be tried again", async || {
        stage.job(jobs[1]).await.attempt > 0 && stage.job(jobs[2]).await.attempt > 0
    })
    .await;
    worker.stop().await;

    for (at, kind) in ["internal", "internal", "deadline"].into_iter().enumerate() {
        let failed = row(&stage, org, connections[at]).await;
        let attempts = stage.job(jobs[at]).await.attempt;
        assert_eq!(failed.error_count, attempts, "{at}: one for each");
        assert_eq!(failed.last_error.unwrap()["kind"], kind, "{at}");
        assert!(failed.last_error_at.is_some(), "{at}");
        assert_eq!(failed.status, ConnectionStatus::Active, "{at}");
        assert_eq!(checks(&stage, connections[at]).await, 1, "{at}");
    }
    let healthy = row(&stage, org, connections[3]).await;
    assert_eq!((healthy.error_count, healthy.last_error), (0, None));
    assert_eq!(checks(&stage, connections[3]).await, 0);
}
