//! A grant of less than was asked for: the connection works and is not healthy, until the rest
//! is granted or switched off.

use axum::http::Method;
use patchbay_core::{events::EventKind, store::events::EventFilter};
use serde_json::{Value, json};

use super::{
    desk::{Desk, Plan, nothing},
    generic::with_testbed,
    hostile::{Answer, Hostile, grant},
};

const MISSING: &str = "sync_folders";

fn plan(url: &str, postgres: bool) -> Plan {
    let url = url.to_owned();
    let mut plan = Plan::with("oauth.testbed.client_id", "patchbay");
    plan.postgres = postgres;
    plan.registry = Box::new(move |registry| with_testbed(registry, &url, true));
    plan
}

/// Connects the account, which grants what `answer` says; the connection's id.
async fn connect(desk: &Desk, hostile: &Hostile) -> String {
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}&iss={}", hostile.url);
    assert_eq!(browser.back("testbed", &query).await.status, 200);
    let consent = desk.consent(&id).await;
    consent["connection_id"].as_str().unwrap().to_owned()
}

async fn switch_off(desk: &Desk, connection: &str, capabilities: Value) {
    let path = format!("/connections/{connection}");
    let body = json!({ "capabilities_off": capabilities });
    desk.call(&desk.key, Method::PATCH, &path, Some(body))
        .await
        .json(200);
}

/// What the log says of the connection's health, oldest first.
async fn told(desk: &Desk, connection: &str) -> Vec<(Value, Value)> {
    let filter = EventFilter {
        connection: Some(connection.parse().unwrap()),
        kind: Some(EventKind::ConnectionHealthChanged),
        ..EventFilter::default()
    };
    let store = &desk.ctx.store;
    let events = store.events(desk.org, &filter, 100).await.unwrap();
    let events = events.into_iter().rev();
    events
        .map(|event| (event.data["from"].clone(), event.data["to"].clone()))
        .collect()
}

/// Healthy and degraded connections on the dashboard.
async fn counted(desk: &Desk) -> (Value, Value) {
    let totals = desk.get("/stats").await.json(200)["totals"].clone();
    (totals["healthy"].clone(), totals["degraded"].clone())
}

async fn less_is_degraded_whatever_checks_say(postgres: bool) {
    let mut less = grant();
    less["scope"] = json!("openid files.read");
    let hostile = Hostile::answering(Answer::json(&less)).await;
    let desk = Desk::new(plan(&hostile.url, postgres)).await;
    let _worker = desk.worker();
    let connection = connect(&desk, &hostile).await;
    for _ in 0..5 {
        let checked = desk.post_to(&connection, "check?wait=30", json!({})).await;
        assert_eq!(checked.json(200)["result"]["ok"], true, "{checked:?}");
    }
    // A test of what is in force brings no other grant, nor does another config.
    let tested = desk.post_to(&connection, "test?wait=30", json!({})).await;
    assert_eq!(tested.json(200)["state"], "succeeded", "{tested:?}");
    assert_eq!(desk.connection(&connection).await["health"], "degraded");
    let path = format!("/connections/{connection}?wait=30");
    let body = json!({ "config": { "note": "the second" } });
    let tested = desk.call(&desk.key, Method::PATCH, &path, Some(body)).await;
    assert_eq!(tested.json(200)["job"]["state"], "succeeded", "{tested:?}");
    let shown = desk.connection(&connection).await;
    assert_eq!(shown["config"]["note"], "the second");
    assert_eq!(shown["health"], "degraded", "{shown:#}");
    let why = &shown["health_reason"];
    assert_eq!(why["kind"], "scope");
    let message = why["message"].as_str().unwrap();
    assert!(
        message.contains("sync_folders (lacks files.write)"),
        "{message}"
    );
    assert!(why["action"].as_str().unwrap().contains("Connect again"));
    assert_eq!(why["next_action"]["kind"], "reconnect");
    let listed = desk.get("/connections").await.json(200);
    assert_eq!(listed["data"][0]["health"], "degraded");
    let numbers = desk.get(&format!("/connections/{connection}/health")).await;
    let numbers = numbers.json(200);
    assert_eq!(
        (&numbers["health"], &numbers["failed"]),
        (&json!("degraded"), &json!(0))
    );
    assert_eq!(counted(&desk).await, (json!(0), json!(1)));

    // Who does not need it says so.
    switch_off(&desk, &connection, json!([MISSING])).await;
    let shown = desk.connection(&connection).await;
    assert_eq!(
        (&shown["health"], &shown["health_reason"]),
        (&json!("healthy"), &Value::Null)
    );
    assert_eq!(counted(&desk).await, (json!(1), json!(0)));
    switch_off(&desk, &connection, json!([])).await;
    assert_eq!(desk.connection(&connection).await["health"], "degraded");

    // The rest is granted.
    hostile.answer(Answer::json(&grant()));
    assert_eq!(connect(&desk, &hostile).await, connection);
    let shown = desk.connection(&connection).await;
    assert_eq!(
        (&shown["health"], &shown["health_reason"]),
        (&json!("healthy"), &Value::Null)
    );
    assert_eq!(shown["capabilities_missing"], json!({}));

    // The log has each change that was shown, and no other.
    let told = told(&desk, &connection).await;
    assert_eq!(
        told,
        [
            ("unknown", "degraded"),
            ("degraded", "healthy"),
            ("healthy", "degraded"),
            ("degraded", "healthy"),
        ]
        .map(|(from, to)| (json!(from), json!(to)))
    );
}

/// Without a grant there is nothing that it could lack.
async fn a_grant_that_is_gone_lacks_nothing(postgres: bool) {
    let mut less = grant();
    less["scope"] = json!("openid files.read");
    let hostile = Hostile::answering(Answer::json(&less)).await;
    let desk = Desk::new(plan(&hostile.url, postgres)).await;
    let _worker = desk.worker();
    let connection = connect(&desk, &hostile).await;
    let gone = |shown: &Value| {
        assert_eq!(
            (&shown["health"], &shown["health_reason"]),
            (&json!("unknown"), &Value::Null),
            "{shown:#}"
        );
    };
    assert_eq!(desk.connection(&connection).await["health"], "degraded");
    gone(
        &desk
            .post_to(&connection, "revoke", json!({}))
            .await
            .json(200),
    );

    assert_eq!(connect(&desk, &hostile).await, connection);
    assert_eq!(desk.connection(&connection).await["health"], "degraded");
    let path = format!("/connections/{connection}");
    desk.call(&desk.key, Method::DELETE, &path, None)
        .await
        .json(200);
    gone(&desk.connection(&connection).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_gone_lacks_nothing_on_sqlite() {
    Box::pin(a_grant_that_is_gone_lacks_nothing(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_gone_lacks_nothing_on_postgres() {
    Box::pin(a_grant_that_is_gone_lacks_nothing(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_is_degraded_whatever_checks_say_on_sqlite() {
    Box::pin(less_is_degraded_whatever_checks_say(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_is_degraded_whatever_checks_say_on_postgres() {
    Box::pin(less_is_degraded_whatever_checks_say(true)).await;
}
