//! From when on something is an alert: shown, changed, refused, and gone by.

use axum::http::Method;
use chrono::TimeDelta;
use patchbay_core::{
    failure::{Failure, FailureKind},
    ids::{ConnectionId, JobId},
    store::alerts::AlertWalk,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, desk};

async fn put(desk: &Desk, body: Value) -> Answer {
    desk.ask(Method::PUT, "/alert-limits", Some(body)).await
}

async fn look(desk: &Desk) -> usize {
    let mut walk = AlertWalk::default();
    desk.store.look_for_alerts(&mut walk).await.unwrap().len()
}

async fn open(desk: &Desk) -> Vec<Value> {
    let page = desk.get("/alerts?state=open").await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn fail(desk: &Desk, id: ConnectionId) {
    let tx = desk.store.begin().await.unwrap();
    let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
    let failure = Failure::new(FailureKind::ProviderDown, "no answer", "wait");
    desk.store
        .note_failure(&tx, &row.unwrap(), &failure, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn without_a_change_the_usual_limits_are_in_force() {
    let desk = desk().await;
    assert_eq!(
        desk.get("/alert-limits").await.expect(200),
        json!({
            "failures_in_a_row": 3, "schedule_lag_seconds": 300, "queue_age_seconds": 300,
            "quiet_seconds": 1800, "updated_at": null, "updated_by": null,
        })
    );
}

#[tokio::test]
async fn what_is_left_out_stays_and_a_change_stands_in_the_activity_log() {
    let desk = desk().await;
    put(&desk, json!({ "failures_in_a_row": 5 }))
        .await
        .expect(200);
    let shown = put(&desk, json!({ "quiet_seconds": 60 })).await.expect(200);
    assert_eq!(
        (&shown["failures_in_a_row"], &shown["quiet_seconds"]),
        (&json!(5), &json!(60))
    );
    let who = shown["updated_by"].as_str().unwrap();
    assert!(who.starts_with("api_key:"), "{who}");
    // The same once more is no change.
    put(&desk, json!({ "quiet_seconds": 60 })).await.expect(200);
    let events = desk.get("/events?kind=alert_limits.changed").await;
    let events = events.expect(200);
    let events = events["data"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!(events[0]["data"]["before"]["quiet_seconds"], 1800);
    assert_eq!(events[0]["data"]["after"]["failures_in_a_row"], 5);
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let desk = desk().await;
    for (body, pointers) in [
        (
            json!({ "failures_in_a_row": 0, "quiet_seconds": 59, "queue_age_seconds": "5m", "age": 1 }),
            vec![
                "/age",
                "/failures_in_a_row",
                "/queue_age_seconds",
                "/quiet_seconds",
            ],
        ),
        (
            json!({ "failures_in_a_row": 70000, "schedule_lag_seconds": 604801 }),
            vec!["/failures_in_a_row", "/schedule_lag_seconds"],
        ),
        (
            json!({ "queue_age_seconds": -1 }),
            vec!["/queue_age_seconds"],
        ),
    ] {
        let mut told = put(&desk, body.clone()).await.pointers();
        told.sort();
        assert_eq!(told, pointers, "{body}");
    }
    let shown = desk.get("/alert-limits").await.expect(200);
    assert_eq!(shown["updated_at"], json!(null));
}

#[tokio::test]
async fn limits_belong_to_one_organization_and_are_set_by_its_admins() {
    let desk = desk().await;
    let body = json!({ "failures_in_a_row": 9 });
    put(&desk, body.clone()).await.expect(200);
    let theirs = desk.ask_as(&desk.stranger, Method::GET, "/alert-limits", None);
    assert_eq!(theirs.await.expect(200)["failures_in_a_row"], 3);
    let member = desk.ask_as(&desk.member, Method::PUT, "/alert-limits", Some(body));
    member.await.problem(403, "forbidden");
}

#[tokio::test]
async fn failures_in_a_row_are_counted_as_the_organization_says() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    put(&desk, json!({ "failures_in_a_row": 1 }))
        .await
        .expect(200);
    fail(&desk, id).await;
    assert_eq!(look(&desk).await, 1, "the first is one");
    assert_eq!(open(&desk).await.len(), 1);

    put(&desk, json!({ "failures_in_a_row": 5 }))
        .await
        .expect(200);
    assert_eq!(look(&desk).await, 1, "it is none by the new limit");
    assert!(open(&desk).await.is_empty());
    for _ in 0..3 {
        fail(&desk, id).await;
        assert_eq!(look(&desk).await, 0);
    }
    fail(&desk, id).await;
    assert_eq!(look(&desk).await, 1);
}

/// As if the job had been due for so long.
async fn make_due(desk: &Desk, id: JobId, ago: TimeDelta) {
    use patchbay_core::entities::job::{Column, Entity};
    let due = desk.store.clock().now() - ago;
    Entity::update_many()
        .col_expr(Column::RunAt, Expr::value(due))
        .filter(Column::Id.eq(id))
        .exec(desk.store.db())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_queue_is_old_when_the_organization_says_so() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    for (limit, waited, raised) in [(600, 9, 0), (600, 11, 1), (1200, 11, 1), (60, 2, 1)] {
        put(&desk, json!({ "queue_age_seconds": limit }))
            .await
            .expect(200);
        make_due(&desk, job.id, TimeDelta::minutes(waited)).await;
        assert_eq!(look(&desk).await, raised, "{limit} s, {waited} min");
        assert_eq!(look(&desk).await, 0, "{limit} s, {waited} min");
    }
    assert_eq!(open(&desk).await[0]["flaps"], 1, "it came back soon");
}

#[tokio::test]
async fn a_schedule_is_late_when_the_organization_says_so() {
    use patchbay_core::entities::schedule::{Column, Entity};
    let desk = desk().await;
    let id = desk.active_connection().await;
    let body = json!({ "stream": "sales", "every": "1h" });
    let made = desk
        .post(&format!("/connections/{id}/schedules"), body)
        .await;
    made.expect(201);
    for (limit, waited, raised) in [(3600, 59, 0), (3600, 61, 1), (7200, 61, 1), (60, 2, 1)] {
        put(&desk, json!({ "schedule_lag_seconds": limit }))
            .await
            .expect(200);
        let past = desk.store.clock().now() - TimeDelta::minutes(waited);
        Entity::update_many()
            .col_expr(Column::Tick, Expr::value(past))
            .col_expr(Column::NextAt, Expr::value(past))
            .exec(desk.store.db())
            .await
            .unwrap();
        assert_eq!(look(&desk).await, raised, "{limit} s, {waited} min");
        assert_eq!(look(&desk).await, 0, "{limit} s, {waited} min");
    }
    assert_eq!(open(&desk).await[0]["count"], 2);
}

#[tokio::test]
async fn what_comes_back_after_the_quiet_period_is_another_alert() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    put(
        &desk,
        json!({ "failures_in_a_row": 1, "quiet_seconds": 60 }),
    )
    .await
    .expect(200);
    for alerts in [1, 2] {
        fail(&desk, id).await;
        look(&desk).await;
        let all = desk.get("/alerts").await.expect(200);
        assert_eq!(all["data"].as_array().unwrap().len(), alerts);
        let tx = desk.store.begin().await.unwrap();
        let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
        desk.store
            .restore_connection(&tx, &row.unwrap())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        look(&desk).await;
        use patchbay_core::entities::alert::{Column, Entity};
        let past = desk.store.clock().now() - TimeDelta::seconds(61);
        Entity::update_many()
            .col_expr(Column::ResolvedAt, Expr::value(past))
            .exec(desk.store.db())
            .await
            .unwrap();
    }
}
