//! Channels of alerts: who is told, how often, and who may say so.

use axum::http::Method;
use chrono::TimeDelta;
use patchbay_core::{
    connection::ConnectionStatus,
    entities::alert,
    failure::{Failure, FailureKind},
    ids::ConnectionId,
    store::alerts::AlertWalk,
};
use sea_orm::{EntityTrait, sea_query::Expr};
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

async fn look(desk: &Desk) {
    let mut walk = AlertWalk::default();
    desk.store.look_for_alerts(&mut walk).await.unwrap();
}

/// An active SMTP connection.
pub async fn post_office(desk: &Desk) -> ConnectionId {
    let body = json!({
        "provider": "smtp",
        "config": { "host": "smtp.example.com", "username": "till", "from_address": "till@example.com" },
        "credential": { "password": "not-a-real-one" },
    });
    let made = desk.post("/connections", body).await.expect(202);
    let id: ConnectionId = made["connection"]["id"].as_str().unwrap().parse().unwrap();
    desk.pass_test(id, made["job"]["id"].as_str().unwrap())
        .await;
    id
}

async fn set(desk: &Desk, connection: ConnectionId, to: Value) -> Value {
    let body = json!({ "connection_id": connection, "to": to });
    desk.post("/alert-channels", body).await.expect(200)
}

async fn messages(desk: &Desk, office: ConnectionId) -> Vec<Value> {
    let path = format!("/jobs?connection={office}&kind=action");
    let page = desk.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

/// The connection heals and breaks again, and a scheduler sees both.
async fn flap(desk: &Desk, id: ConnectionId) {
    let tx = desk.store.begin().await.unwrap();
    let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
    desk.store
        .restore_connection(&tx, &row.unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    look(desk).await;
    let tx = desk.store.begin().await.unwrap();
    let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
    let failure = Failure::new(FailureKind::Auth, "refused", "send another");
    desk.store
        .note_failure(&tx, &row.unwrap(), &failure, Some(ConnectionStatus::Error))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    look(desk).await;
}

/// The quiet period since the last message is over.
async fn an_hour_passes(desk: &Desk) {
    let past = desk.store.clock().now() - TimeDelta::hours(1);
    alert::Entity::update_many()
        .col_expr(alert::Column::NotifiedAt, Expr::value(past))
        .exec(desk.store.db())
        .await
        .unwrap();
}

#[tokio::test]
async fn twenty_flaps_are_one_message() {
    let desk = desk().await;
    let office = post_office(&desk).await;
    set(&desk, office, json!(["ops@example.com"])).await;
    let broken = desk.connection(ConnectionStatus::Error).await;
    look(&desk).await;
    assert_eq!(messages(&desk, office).await.len(), 1);
    for _ in 0..20 {
        flap(&desk, broken).await;
    }
    let sent = messages(&desk, office).await;
    assert_eq!(sent.len(), 1);
    let job = desk
        .store
        .job(desk.org, sent[0]["id"].as_str().unwrap().parse().unwrap());
    let args = job.await.unwrap().unwrap().args;
    assert_eq!(args["action"], "send_email");
    assert_eq!(args["input"]["to"], json!(["ops@example.com"]));
    let text = args["input"]["text"].as_str().unwrap();
    assert!(text.contains("What to do: Set a new credential"), "{text}");
    let shown = desk.get("/alerts").await.expect(200);
    assert!(shown["data"][0]["notified_at"].is_string());

    an_hour_passes(&desk).await;
    flap(&desk, broken).await;
    assert_eq!(messages(&desk, office).await.len(), 2);
}

#[tokio::test]
async fn neither_a_silent_nor_an_acknowledged_alert_is_told_again() {
    for verb in ["acknowledge", "silence"] {
        let desk = desk().await;
        let body = match verb {
            "silence" => json!({ "until": desk.store.clock().now() + TimeDelta::hours(5) }),
            _ => json!({}),
        };
        let office = post_office(&desk).await;
        set(&desk, office, json!(["ops@example.com"])).await;
        let broken = desk.connection(ConnectionStatus::Error).await;
        look(&desk).await;
        let shown = desk.get("/alerts").await.expect(200);
        let id = shown["data"][0]["id"].as_str().unwrap();
        desk.post(&format!("/alerts/{id}/{verb}"), body)
            .await
            .expect(200);
        an_hour_passes(&desk).await;
        flap(&desk, broken).await;
        assert_eq!(messages(&desk, office).await.len(), 1, "{verb}");
    }
}

#[tokio::test]
async fn a_channel_is_not_told_of_its_own_connection() {
    let desk = desk().await;
    let office = post_office(&desk).await;
    set(&desk, office, json!(["ops@example.com"])).await;
    flap(&desk, office).await;
    let shown = desk.get("/alerts").await.expect(200);
    assert_eq!(shown["data"].as_array().unwrap().len(), 1);
    assert_eq!(shown["data"][0]["notified_at"], json!(null));
    assert!(messages(&desk, office).await.is_empty());
}

#[tokio::test]
async fn channels_are_made_changed_and_removed_by_admins_of_their_organization() {
    let desk = desk().await;
    let office = post_office(&desk).await;
    let made = set(&desk, office, json!(["ops@example.com"])).await;
    let again = set(
        &desk,
        office,
        json!(["kim@example.com", "Till <t@example.com>"]),
    )
    .await;
    assert_eq!(made["id"], again["id"]);
    let listed = desk.get("/alert-channels").await.expect(200);
    assert_eq!(listed, json!([again]));
    // Everyone reads the activity log: it says how many, not who.
    let events = desk.get("/events?kind=alert_channel.set").await.expect(200);
    assert_eq!(events["data"][0]["data"]["recipients"], 2, "{events:#}");
    assert!(!events.to_string().contains('@'), "{events:#}");
    let path = format!("/alert-channels/{}", made["id"].as_str().unwrap());
    let theirs = desk
        .ask_as(&desk.stranger, Method::DELETE, &path, None)
        .await;
    theirs.problem(404, "not-found");
    let theirs = desk.ask_as(&desk.stranger, Method::GET, "/alert-channels", None);
    assert_eq!(theirs.await.expect(200), json!([]));
    let member = desk.ask_as(&desk.member, Method::DELETE, &path, None).await;
    member.problem(403, "forbidden");
    desk.ask(Method::DELETE, &path, None).await.expect(204);
    desk.ask(Method::DELETE, &path, None)
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn a_repeat_gives_no_channel_its_former_recipients() {
    let desk = desk().await;
    let office = post_office(&desk).await;
    let body = |to: &str| json!({ "connection_id": office, "to": [to] });
    let (first, second) = (body("a@example.com"), body("b@example.com"));
    for (key, body) in [("k1", &first), ("k2", &second)] {
        let set = desk.post_once("/alert-channels", key, body).await;
        assert_eq!(set.expect(200)["to"], body["to"]);
    }
    let repeated = desk.post_once("/alert-channels", "k1", &first).await;
    assert_eq!(repeated.expect(200)["to"], json!(["b@example.com"]));
    let other = desk.post_once("/alert-channels", "k1", &second).await;
    other.problem(422, "idempotency-key-reused");
    let events = desk.get("/events?kind=alert_channel.set").await;
    assert_eq!(events.expect(200)["data"].as_array().unwrap().len(), 2);
    // What was refused does not use up its key.
    let wrong = body("nobody");
    let wrong = desk.post_once("/alert-channels", "k3", &wrong).await;
    assert_eq!(wrong.pointers(), ["/to/0"]);
    let right = desk.post_once("/alert-channels", "k3", &first).await;
    assert_eq!(right.expect(200)["to"], first["to"]);
}

#[tokio::test]
async fn wrong_channels_are_refused() {
    let desk = desk().await;
    let office = post_office(&desk).await;
    let square = desk.active_connection().await;
    let unknown = "019ab2c3-7d4e-7f00-8000-000000000000";
    for (body, pointer) in [
        (
            json!({ "connection_id": unknown, "to": ["a@example.com"] }),
            "/connection_id",
        ),
        (
            json!({ "connection_id": square, "to": ["a@example.com"] }),
            "/connection_id",
        ),
        (json!({ "connection_id": office, "to": [] }), "/to"),
        (
            json!({ "connection_id": office, "to": ["nobody"] }),
            "/to/0",
        ),
        (
            json!({ "connection_id": office, "to": ["a@b.example\r\nBcc: c@d.example"] }),
            "/to/0",
        ),
    ] {
        let answer = desk.post("/alert-channels", body.clone()).await;
        assert_eq!(answer.pointers(), [pointer], "{body}");
    }
    let body = json!({ "connection_id": office, "to": ["a@example.com"] });
    let theirs = desk.ask_as(&desk.stranger, Method::POST, "/alert-channels", Some(body));
    assert_eq!(theirs.await.pointers(), ["/connection_id"]);
}
