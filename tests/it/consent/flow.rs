//! The whole flow with the stand-ins.

use patchbay_core::connection::ConnectionStatus;
use serde_json::json;

use super::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
};

async fn square_is_connected(plan: Plan) {
    let desk = Desk::new(plan).await;
    let _worker = desk.worker();
    let (id, url) = desk.ask("square", json!({ "name": "Till" })).await;
    assert_eq!(desk.consent(&id).await["status"], "open");

    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("Square is connected"), "{}", page.text);

    let consent = desk.consent(&id).await;
    assert_eq!(consent["status"], "connected", "{consent:#}");
    let connection = desk
        .connection(consent["connection_id"].as_str().unwrap())
        .await;
    assert_eq!(connection["status"], "active", "{connection:#}");
    assert_eq!(connection["name"], "Till");
    let secret = desk.secret(connection["id"].as_str().unwrap()).await;
    let names: Vec<&str> = secret.keys().map(String::as_str).collect();
    assert_eq!(names, ["access_token", "refresh_token"]);
    let rows = desk.connections().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].status, ConnectionStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn square_is_connected_by_consent_on_sqlite() {
    square_is_connected(Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn square_is_connected_by_consent_on_postgres() {
    square_is_connected(Plan {
        postgres: true,
        ..Plan::default()
    })
    .await;
}

#[tokio::test]
async fn without_a_worker_the_consent_is_open_then_opened() {
    let desk = Desk::new(Plan::default()).await;
    let (id, _browser, _state) = desk.opened("square", nothing()).await;
    assert_eq!(desk.consent(&id).await["status"], "opened");
}
