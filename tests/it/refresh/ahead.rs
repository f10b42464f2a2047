//! What is due by the clock is refreshed before anybody needs it: once, by a job.

use std::time::Duration;

use chrono::TimeDelta;
use patchbay_core::{
    connection::ConnectionStatus,
    entities::{connection, credential as credentials, job},
    ids::JobId,
    job::{JobKind, JobState, Queue},
    store::credentials::refresh::RefreshDue,
};
use patchbay_scheduler::{Identity, SchedulerDeps};
use patchbay_worker::jobs;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    desk::{consented, credential},
    on_both_databases,
};
use crate::sync::desk::Desk;

on_both_databases!(
    what_is_due_is_handed_out_once_and_refreshed_by_its_job,
    what_does_not_work_is_not_handed_out,
    a_scheduler_makes_the_job,
);

/// Puts the time of its refresh into the past.
async fn make_due(desk: &Desk) {
    let change = credentials::ActiveModel {
        id: Set(credential(desk).await.id),
        refresh_due_at: Set(Some(desk.ctx.clock.now() - TimeDelta::minutes(1))),
        ..Default::default()
    };
    let db = desk.ctx.store.db();
    credentials::Entity::update(change).exec(db).await.unwrap();
}

async fn take(desk: &Desk) -> Vec<RefreshDue> {
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let due = store.take_due_refreshes(&tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    due
}

/// Enqueues the job of a due refresh.
async fn enqueue(desk: &Desk, due: RefreshDue) -> JobId {
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let enqueued = store.jobs().enqueue(&tx, vec![due.job()]).await.unwrap();
    tx.commit().await.unwrap();
    enqueued[0].job().id
}

async fn run(desk: &Desk, id: JobId) -> Value {
    let run = desk.claim_of(Queue::Maintenance, id).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    assert_eq!(desk.state(id).await, JobState::Succeeded);
    outcome.unwrap()
}

async fn what_is_due_is_handed_out_once_and_refreshed_by_its_job(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    assert_eq!(take(&desk).await, [], "its time has not come");
    make_due(&desk).await;
    let expected = RefreshDue {
        org: desk.org,
        connection: desk.connection,
        version: 1,
    };
    assert_eq!(take(&desk).await, [expected]);
    assert_eq!(take(&desk).await, [], "handed out before");

    let job = enqueue(&desk, expected).await;
    assert_eq!(run(&desk, job).await["refreshed"], true);
    let after = credential(&desk).await;
    assert_eq!(after.version, 2);
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    let (due, end) = (after.refresh_due_at.unwrap(), after.expires_at.unwrap());
    assert!(due > desk.ctx.clock.now() && due < end, "{due} of {end}");
    assert_eq!(take(&desk).await, [], "the next time is set");

    // A job that comes late, for the version before.
    let late = enqueue(&desk, expected).await;
    let said = run(&desk, late).await;
    assert_eq!(
        said,
        json!({ "refreshed": false, "reason": "no longer needed" })
    );
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    assert_eq!(credential(&desk).await, after);
}

async fn what_does_not_work_is_not_handed_out(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    let db = desk.ctx.store.db();
    let stands = async |status| {
        let change = connection::ActiveModel {
            id: Set(desk.connection),
            status: Set(status),
            ..Default::default()
        };
        connection::Entity::update(change).exec(db).await.unwrap();
    };
    make_due(&desk).await;
    for status in [
        ConnectionStatus::Pending,
        ConnectionStatus::Expired,
        ConnectionStatus::Disabled,
        ConnectionStatus::Disconnected,
    ] {
        stands(status).await;
        assert_eq!(take(&desk).await, [], "{status:?}");
    }
    for status in [ConnectionStatus::Active, ConnectionStatus::Error] {
        stands(status).await;
        assert_eq!(take(&desk).await.len(), 1, "{status:?}");
        make_due(&desk).await;
    }
    let refused = credentials::ActiveModel {
        id: Set(credential(&desk).await.id),
        refused_at: Set(Some(desk.ctx.clock.now())),
        ..Default::default()
    };
    credentials::Entity::update(refused).exec(db).await.unwrap();
    assert_eq!(take(&desk).await, [], "it was refused");
}

async fn a_scheduler_makes_the_job(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    make_due(&desk).await;
    let ctx = &desk.ctx;
    let deps = SchedulerDeps::new(
        ctx.store.clone(),
        ctx.hints.clone(),
        ctx.clock.clone(),
        Identity::Own {
            host: "test".into(),
        },
    );
    let shutdown = CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    let scheduler = tokio::spawn(patchbay_scheduler::run(deps, shutdown.clone()));
    let mut made = Vec::new();
    for _ in 0..3_000 {
        made = job::Entity::find()
            .filter(job::Column::Kind.eq(JobKind::CredentialRefresh))
            .all(ctx.store.db())
            .await
            .unwrap();
        if !made.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.cancel();
    scheduler.await.unwrap();
    assert_eq!(made.len(), 1, "one job for one grant");
    assert_eq!(made[0].connection_id, Some(desk.connection));
    assert_eq!(run(&desk, made[0].id).await["refreshed"], true);
    assert_eq!(credential(&desk).await.version, 2);
}
