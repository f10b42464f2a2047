//! Alerts: raised once a cause, resolved by themselves, read and handled by people.

use axum::http::Method;
use chrono::TimeDelta;
use patchbay_core::{
    connection::ConnectionStatus,
    failure::{Failure, FailureKind},
    ids::{ConnectionId, JobId},
    job::Settle,
    store::alerts::AlertWalk,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

/// A scheduler looks: how many alerts that changed.
async fn look(desk: &Desk) -> usize {
    let mut walk = AlertWalk::default();
    desk.store.look_for_alerts(&mut walk).await.unwrap().len()
}

async fn alerts(desk: &Desk, query: &str) -> Vec<Value> {
    let page = desk.get(&format!("/alerts{query}")).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

/// Work failed, as a worker writes it down.
async fn fail(desk: &Desk, id: ConnectionId, status: Option<ConnectionStatus>) {
    let tx = desk.store.begin().await.unwrap();
    let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
    let failure = Failure::new(FailureKind::ProviderDown, "no answer", "wait");
    desk.store
        .note_failure(&tx, &row.unwrap(), &failure, status)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// A check found that all is well again.
async fn heal(desk: &Desk, id: ConnectionId) {
    let tx = desk.store.begin().await.unwrap();
    let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
    desk.store
        .restore_connection(&tx, &row.unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn dead_job(desk: &Desk) -> JobId {
    let job = desk.noop_job().await;
    let job = desk.claim(job.id).await;
    let failure = Failure::new(FailureKind::Internal, "it gave up", "look");
    desk.end(&job, Settle::Fail { failure }).await;
    job.id
}

#[tokio::test]
async fn three_failures_in_a_row_raise_one_alert_that_counts_on_and_resolves() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    fail(&desk, id, None).await;
    fail(&desk, id, None).await;
    assert_eq!(look(&desk).await, 0, "twice is no alert");
    fail(&desk, id, None).await;
    assert_eq!(look(&desk).await, 1);
    assert_eq!(look(&desk).await, 0, "seen again is not raised again");
    fail(&desk, id, None).await;
    look(&desk).await;
    let open = alerts(&desk, "").await;
    assert_eq!(open.len(), 1);
    let alert = &open[0];
    assert_eq!(alert["kind"], "connection_failing");
    assert_eq!(alert["state"], "open");
    assert_eq!(alert["connection_id"], json!(id));
    assert_eq!(alert["provider"], "square");
    assert_eq!(alert["count"], 4);
    for words in ["title", "meaning", "impact", "next_action"] {
        assert!(!alert[words].as_str().unwrap().is_empty(), "{words}");
    }
    assert_eq!(desk.get("/stats").await.expect(200)["alerts"], 1);

    heal(&desk, id).await;
    assert_eq!(look(&desk).await, 1);
    let over = alerts(&desk, "?state=resolved").await;
    assert_eq!(over.len(), 1);
    assert!(over[0]["resolved_at"].is_string());
    assert_eq!(desk.get("/stats").await.expect(200)["alerts"], 0);
    for kind in ["alert.raised", "alert.resolved"] {
        let events = desk.get(&format!("/events?kind={kind}")).await.expect(200);
        assert_eq!(events["data"].as_array().unwrap().len(), 1, "{kind}");
        assert_eq!(events["data"][0]["connection_id"], json!(id));
    }
}

#[tokio::test]
async fn a_refused_credential_and_an_ended_consent_are_causes_of_their_own() {
    for (status, kind) in [
        (ConnectionStatus::Error, "credential_refused"),
        (ConnectionStatus::Expired, "consent_expired"),
    ] {
        let desk = desk().await;
        let id = desk.connection(status).await;
        assert_eq!(look(&desk).await, 1);
        assert_eq!(look(&desk).await, 0);
        assert_eq!(alerts(&desk, "?state=open").await[0]["kind"], kind);
        heal(&desk, id).await;
        assert_eq!(look(&desk).await, 1);
        assert!(alerts(&desk, "?state=open").await.is_empty());
    }
}

#[tokio::test]
async fn dead_jobs_raise_one_alert_that_counts_them_until_none_is_left() {
    let desk = desk().await;
    let first = dead_job(&desk).await;
    assert_eq!(look(&desk).await, 1);
    let second = dead_job(&desk).await;
    assert_eq!(look(&desk).await, 0);
    let open = alerts(&desk, "?kind=dead_jobs").await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["count"], 2);
    assert_eq!(open[0]["connection_id"], json!(null));
    for job in [first, second] {
        assert_eq!(alerts(&desk, "?state=open").await.len(), 1);
        desk.post(&format!("/jobs/{job}/discard"), json!({}))
            .await
            .expect(200);
        look(&desk).await;
    }
    assert!(alerts(&desk, "?state=open").await.is_empty());
}

#[tokio::test]
async fn a_due_job_that_waits_too_long_is_an_alert_until_it_is_taken() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    make_due(&desk, job.id, TimeDelta::minutes(4)).await;
    assert_eq!(look(&desk).await, 0, "five minutes have not passed");
    make_due(&desk, job.id, TimeDelta::minutes(6)).await;
    assert_eq!(look(&desk).await, 1);
    let open = alerts(&desk, "").await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["kind"], "queue_old");
    let job = desk.claim(job.id).await;
    assert_eq!(look(&desk).await, 1);
    assert!(alerts(&desk, "?state=open").await.is_empty());
    desk.end(&job, Settle::Release).await;
}

/// As if the job had been due for so long.
async fn make_due(desk: &Desk, id: JobId, ago: TimeDelta) {
    use patchbay_core::entities::job::{Column, Entity};
    Entity::update_many()
        .col_expr(Column::RunAt, Expr::value(desk.store.clock().now() - ago))
        .filter(Column::Id.eq(id))
        .exec(desk.store.db())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_schedule_whose_tick_waits_is_an_alert_until_it_is_paused() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let body = json!({ "stream": "sales", "every": "1h" });
    let made = desk
        .post(&format!("/connections/{id}/schedules"), body)
        .await;
    let schedule = made.expect(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(look(&desk).await, 0);
    make_late(&desk, TimeDelta::hours(1)).await;
    assert_eq!(look(&desk).await, 1);
    assert_eq!(look(&desk).await, 0);
    assert_eq!(alerts(&desk, "").await[0]["kind"], "schedules_late");
    desk.post(&format!("/schedules/{schedule}/pause"), json!({}))
        .await
        .expect(200);
    assert_eq!(look(&desk).await, 1);
    assert!(alerts(&desk, "?state=open").await.is_empty());
}

/// As if the tick of every schedule had waited for so long.
async fn make_late(desk: &Desk, ago: TimeDelta) {
    use patchbay_core::entities::schedule::{Column, Entity};
    let past = desk.store.clock().now() - ago;
    Entity::update_many()
        .col_expr(Column::Tick, Expr::value(past))
        .col_expr(Column::NextAt, Expr::value(past))
        .exec(desk.store.db())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_that_flaps_keeps_one_alert_and_its_acknowledgement() {
    let desk = desk().await;
    let id = desk.connection(ConnectionStatus::Error).await;
    assert_eq!(look(&desk).await, 1);
    let alert = alerts(&desk, "").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.post(&format!("/alerts/{alert}/acknowledge"), json!({}))
        .await
        .expect(200);
    for _ in 0..20 {
        heal(&desk, id).await;
        assert_eq!(look(&desk).await, 1);
        fail(&desk, id, Some(ConnectionStatus::Error)).await;
        assert_eq!(look(&desk).await, 1);
    }
    let all = alerts(&desk, "").await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["id"], json!(alert));
    assert_eq!(all[0]["flaps"], 20);
    assert_eq!(all[0]["state"], "acknowledged");

    // Long after it was over, it is another alert.
    heal(&desk, id).await;
    look(&desk).await;
    resolved_ago(&desk, TimeDelta::minutes(31)).await;
    fail(&desk, id, Some(ConnectionStatus::Error)).await;
    assert_eq!(look(&desk).await, 1);
    assert_eq!(alerts(&desk, "").await.len(), 2);
}

/// As if what is resolved had been so for so long.
async fn resolved_ago(desk: &Desk, ago: TimeDelta) {
    use patchbay_core::entities::alert::{Column, Entity};
    Entity::update_many()
        .col_expr(
            Column::ResolvedAt,
            Expr::value(desk.store.clock().now() - ago),
        )
        .filter(Column::ResolvedAt.is_not_null())
        .exec(desk.store.db())
        .await
        .unwrap();
}

#[tokio::test]
async fn two_schedulers_at_once_make_one_alert() {
    let desk = desk().await;
    let id = desk.connection(ConnectionStatus::Error).await;
    dead_job(&desk).await;
    let (one, other) = tokio::join!(look(&desk), look(&desk));
    assert_eq!(one + other, 2);
    assert_eq!(alerts(&desk, "").await.len(), 2);
    heal(&desk, id).await;
    let (one, other) = tokio::join!(look(&desk), look(&desk));
    assert_eq!(one + other, 1);
    fail(&desk, id, Some(ConnectionStatus::Error)).await;
    let (one, other) = tokio::join!(look(&desk), look(&desk));
    assert_eq!(one + other, 1);
    assert_eq!(alerts(&desk, "?state=open").await.len(), 2);
    let events = desk.get("/events?kind=alert.raised").await.expect(200);
    assert_eq!(events["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn people_acknowledge_and_silence() {
    let desk = desk().await;
    desk.connection(ConnectionStatus::Error).await;
    look(&desk).await;
    let id = alerts(&desk, "").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = |verb: &str| format!("/alerts/{id}/{verb}");
    let refused = desk
        .ask_as(&desk.viewer, Method::POST, &path("acknowledge"), None)
        .await;
    refused.problem(403, "forbidden");
    for key in [&desk.member, &desk.owner] {
        let taken = desk
            .ask_as(key, Method::POST, &path("acknowledge"), None)
            .await;
        assert_eq!(taken.expect(200)["state"], "acknowledged");
    }
    let events = desk.get("/events?kind=alert.acknowledged").await;
    assert_eq!(events.expect(200)["data"].as_array().unwrap().len(), 1);

    let until = desk.store.clock().now() + TimeDelta::hours(2);
    let silent = desk.post(&path("silence"), json!({ "until": until })).await;
    let silent = silent.expect(200);
    assert!(silent["silenced_until"].is_string());
    assert!(
        silent["silenced_by"]
            .as_str()
            .unwrap()
            .starts_with("api_key:")
    );
    let loud = desk.post(&path("silence"), json!({ "until": null })).await;
    assert_eq!(loud.expect(200)["silenced_until"], json!(null));

    for until in [
        json!("2020-01-01T00:00:00Z"),
        json!(desk.store.clock().now() + TimeDelta::days(4000)),
        json!("soon"),
        json!(7),
    ] {
        let answer = desk.post(&path("silence"), json!({ "until": until })).await;
        assert_eq!(answer.pointers(), ["/until"], "{until}");
    }
}

#[tokio::test]
async fn a_repeat_of_what_a_person_said_undoes_nothing_said_since() {
    let desk = desk().await;
    desk.connection(ConnectionStatus::Error).await;
    look(&desk).await;
    let id = alerts(&desk, "").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = |verb: &str| format!("/alerts/{id}/{verb}");
    let until = |hours| json!({ "until": desk.store.clock().now() + TimeDelta::hours(hours) });
    let (silent, loud) = (until(2), json!({ "until": null }));
    let said = desk.post_once(&path("silence"), "k1", &silent).await;
    assert!(said.expect(200)["silenced_until"].is_string());
    desk.post_once(&path("silence"), "k2", &loud)
        .await
        .expect(200);
    let repeated = desk.post_once(&path("silence"), "k1", &silent).await;
    assert_eq!(repeated.expect(200)["silenced_until"], json!(null));
    let events = desk.get("/events?kind=alert.silenced").await.expect(200);
    assert_eq!(events["data"].as_array().unwrap().len(), 2);
    let other = desk.post_once(&path("silence"), "k1", &until(3)).await;
    other.problem(422, "idempotency-key-reused");
    desk.clock.advance(TimeDelta::hours(3));
    let late = desk.post_once(&path("silence"), "k1", &silent).await;
    late.expect(200);

    let acknowledge = path("acknowledge");
    for _ in 0..2 {
        let taken = desk.post_once(&acknowledge, "k1", &json!({})).await;
        assert_eq!(taken.expect(200)["state"], "acknowledged");
    }
    // The key is remembered with who sent it.
    let member = desk
        .post_once_as(&desk.member, &acknowledge, "k1", &json!({}))
        .await;
    member.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn another_organization_sees_no_alert_of_ours() {
    let desk = desk().await;
    desk.connection(ConnectionStatus::Error).await;
    look(&desk).await;
    let id = alerts(&desk, "").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let theirs = desk.ask_as(&desk.stranger, Method::GET, "/alerts", None);
    assert_eq!(theirs.await.expect(200)["data"], json!([]));
    for (method, path) in [
        (Method::GET, format!("/alerts/{id}")),
        (Method::POST, format!("/alerts/{id}/acknowledge")),
        (Method::POST, format!("/alerts/{id}/silence")),
    ] {
        let answer = desk.ask_as(&desk.stranger, method, &path, None).await;
        answer.problem(404, "not-found");
    }
    assert_eq!(alerts(&desk, "?state=open").await.len(), 1);
}

#[tokio::test]
async fn pages_begin_with_what_is_open_and_wrong_queries_are_refused() {
    let desk = desk().await;
    let id = desk.connection(ConnectionStatus::Error).await;
    look(&desk).await;
    heal(&desk, id).await;
    look(&desk).await;
    dead_job(&desk).await;
    look(&desk).await;
    let first = desk.get("/alerts?limit=1").await.expect(200);
    assert_eq!(first["data"][0]["kind"], "dead_jobs");
    let next = first["next"].as_str().unwrap();
    let second = desk.get(&format!("/alerts?limit=1&cursor={next}")).await;
    let second = second.expect(200);
    assert_eq!(second["data"][0]["state"], "resolved");
    assert_eq!(second["next"], json!(null));
    desk.get("/alerts?cursor=nonsense")
        .await
        .problem(400, "invalid-cursor");
    let wrong = desk
        .get("/alerts?state=loud&kind=none&limit=0&sort=up")
        .await;
    let wrong = wrong.parameters();
    assert!(wrong.contains(&"state".to_owned()), "{wrong:?}");
}
