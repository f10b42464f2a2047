//! A connection that is connected again by consent goes on where it stood.

use patchbay_core::job::Queue;
use patchbay_sandbox::square::{DEFAULT_MERCHANT, data::ChangeKind};
use serde_json::{Value, json};

use super::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
};

const LIST: &str = "GET /square/v2/customers";
const SEARCH: &str = "POST /square/v2/customers/search";

/// Connects Square in a browser; the connection's id.
async fn consented(desk: &Desk) -> String {
    let (id, url) = desk.ask("square", nothing()).await;
    let page = Browser::new(desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let consent = desk.consent(&id).await;
    consent["connection_id"].as_str().unwrap().to_owned()
}

async fn synced(desk: &Desk, connection: &str) -> Value {
    let body = json!({ "streams": ["customers"] });
    let said = desk.post_to(connection, "sync?wait=30", body).await;
    let job = said.json(200)["jobs"][0].clone();
    assert_eq!(job["state"], "succeeded", "{job:#}");
    job["result"].clone()
}

async fn cursor(desk: &Desk, connection: &str) -> Option<Value> {
    let id = connection.parse().unwrap();
    let states = desk.ctx.store.stream_states(desk.org, id).await.unwrap();
    let state = states.into_iter().find(|state| state.stream == "customers");
    state?.cursor
}

async fn a_new_consent_goes_on_from_the_cursors(postgres: bool) {
    let desk = Desk::new(Plan {
        postgres,
        ..Plan::default()
    })
    .await;
    let _worker = desk.worker_of(&[Queue::Interactive, Queue::Sync, Queue::Maintenance]);
    let connection = consented(&desk).await;
    let first = synced(&desk, &connection).await;
    assert_eq!(first["records"], 5, "everything: {first:#}");
    let place = cursor(&desk, &connection).await;
    assert!(place.is_some(), "a complete sync leaves a cursor");
    let listed = desk.sandbox.requests.count(LIST);

    desk.disconnect(&connection).await;
    let done = desk.revocation().await;
    assert_eq!(done["result"]["revoked"], true, "{done:#}");
    let body = json!({ "streams": ["customers"] });
    let refused = desk.post_to(&connection, "sync", body).await;
    refused.problem(409, "connection-state");
    let change = desk
        .sandbox
        .square
        .change(DEFAULT_MERCHANT, ChangeKind::CustomerCreated, None);
    change.unwrap().expect("a customer");

    assert_eq!(consented(&desk).await, connection);
    assert_eq!(cursor(&desk, &connection).await, place);
    assert_eq!(desk.sandbox.requests.count(SEARCH), 0);
    let next = synced(&desk, &connection).await;
    assert_eq!(next["records"], 1, "what changed meanwhile: {next:#}");
    assert_eq!(next["counts"]["created"], 1, "{next:#}");
    assert_eq!(desk.sandbox.requests.count(LIST), listed, "not all again");
    assert!(desk.sandbox.requests.count(SEARCH) > 0);
    assert_ne!(cursor(&desk, &connection).await, place, "it has moved on");
    let streams = &desk.connection(&connection).await["streams"];
    assert_eq!(streams[0]["records"], 6, "the old records stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_consent_goes_on_from_the_cursors_on_sqlite() {
    Box::pin(a_new_consent_goes_on_from_the_cursors(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_consent_goes_on_from_the_cursors_on_postgres() {
    Box::pin(a_new_consent_goes_on_from_the_cursors(true)).await;
}
