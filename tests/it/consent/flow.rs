//! The whole flow with the stand-ins.

mod dropped;
mod sent_once;

use axum::http::Method;
use patchbay_core::connection::ConnectionStatus;
use patchbay_sandbox::oauth::Answer;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    desk::{Desk, Plan, Said, nothing},
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

#[tokio::test(flavor = "multi_thread")]
async fn google_drive_is_connected_with_pkce() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (id, url) = desk.ask("google_drive", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let consent = desk.consent(&id).await;
    let connection = consent["connection_id"].as_str().unwrap();
    assert_eq!(desk.connection(connection).await["health"], "healthy");
    assert!(desk.secret(connection).await.contains_key("refresh_token"));
}

/// Lets the person choose this account at Square from now on.
fn choose(desk: &Desk, account: &str) {
    desk.sandbox.square.oauth.answer_always(Some(Answer {
        account: Some(account.to_owned()),
        ..Answer::default()
    }));
}

/// Goes through a consent; how it stands, and the page.
async fn consented(desk: &Desk, body: Value) -> (Value, Said) {
    let (id, url) = desk.ask("square", body).await;
    let page = Browser::new(desk).consent(&url).await;
    (desk.consent(&id).await, page)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_refused_and_changes_nothing() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (first, _) = consented(&desk, nothing()).await;
    let connection = first["connection_id"].as_str().unwrap();
    let before = desk.secret(connection).await;
    let other = desk.other_merchant();
    choose(&desk, &other);
    let (second, page) = consented(&desk, nothing()).await;
    assert_eq!(page.status, 409, "{}", page.text);
    assert_eq!(second["status"], "failed");
    assert_eq!(second["failure"]["kind"], "conflict", "{second:#}");
    assert!(page.text.contains("never mixed"), "{}", page.text);
    assert_eq!(desk.connections().await.len(), 1);
    assert_eq!(desk.secret(connection).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_account_finds_its_disconnected_connection_and_another_makes_a_new_one() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (first, _) = consented(&desk, nothing()).await;
    desk.disconnect(first["connection_id"].as_str().unwrap())
        .await;
    let (again, _) = consented(&desk, nothing()).await;
    assert_eq!(again["connection_id"], first["connection_id"]);
    let shown = desk
        .connection(again["connection_id"].as_str().unwrap())
        .await;
    assert_eq!(shown["status"], "active");
    assert!(shown["disconnected_at"].is_null());

    desk.disconnect(first["connection_id"].as_str().unwrap())
        .await;
    choose(&desk, &desk.other_merchant());
    let (other, _) = consented(&desk, nothing()).await;
    assert_eq!(other["status"], "connected");
    assert_ne!(other["connection_id"], first["connection_id"]);
    assert_eq!(desk.connections().await.len(), 2);
    // The first cannot be named while the other lives, which Square allows one of.
    let body = json!({ "connection_id": first["connection_id"] });
    let refused = desk.post("/authorize/square", body).await;
    refused.problem(409, "connection-exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_connection_that_is_named_takes_no_other_account() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (first, _) = consented(&desk, nothing()).await;
    desk.disconnect(first["connection_id"].as_str().unwrap())
        .await;
    choose(&desk, &desk.other_merchant());
    let body = json!({ "connection_id": first["connection_id"] });
    let (second, page) = consented(&desk, body).await;
    assert_eq!(page.status, 409, "{}", page.text);
    assert_eq!(second["failure"]["kind"], "conflict");
    let shown = desk
        .connection(first["connection_id"].as_str().unwrap())
        .await;
    assert_eq!(shown["status"], "disconnected");
}

#[tokio::test]
async fn a_repeat_gets_the_same_consent_with_a_fresh_address_until_it_is_opened() {
    let desk = Desk::new(Plan::default()).await;
    let ask = || async {
        let request = axum::http::Request::post("/api/integrations/authorize/square")
            .header("authorization", format!("Bearer {}", desk.key))
            .header("idempotency-key", "one")
            .body(axum::body::Body::empty());
        desk.send(request.unwrap()).await.json(201)
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!(first["consent_id"], second["consent_id"]);
    assert_ne!(first["url"], second["url"]);
    let open = async |asked: &Value| {
        let mut browser = Browser::new(&desk);
        browser.get(asked["url"].as_str().unwrap()).await.status
    };
    assert_eq!(open(&first).await, 404);
    assert_eq!(open(&second).await, 303);
    assert!(ask().await["url"].is_null());
}

#[tokio::test]
async fn what_a_deployment_lacks_is_said_by_name() {
    let desk = Desk::new(Plan::default()).await;
    let problem = desk.post("/authorize/etsy", nothing()).await;
    let problem = problem.problem(409, "consent-unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`oauth.etsy.client_id`"), "{detail}");
    desk.post("/authorize/nobody", nothing())
        .await
        .problem(404, "not-found");
    let wrong = json!({ "capabilities": ["sync_catalog", "fly"], "config": { "nope": 1 }, "return_url": "x" });
    let problem = desk.post("/authorize/square", wrong).await;
    let problem = problem.problem(422, "validation");
    assert_eq!(
        problem["errors"].as_array().unwrap().len(),
        3,
        "{problem:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orgs_own_app_is_used_and_its_secret_shown_to_nobody() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let secret = "sq0csp-an-orgs-own-secret-9876";
    let client = patchbay_sandbox::oauth::Client::new("sq0idp-own", secret);
    desk.sandbox.square.oauth.add_client(client);
    let app = json!({ "client_id": "sq0idp-own", "client_secret": secret });
    let path = "/oauth-clients/square";
    let put = format!("{path}?wait=20");
    let set = desk.call(&desk.key, Method::PUT, &put, Some(app)).await;
    let body = set.json(200);
    assert_eq!(body["client"]["secret_mask"], "••••9876");
    assert!(!set.text.contains(secret));
    assert!(!desk.get(path).await.text.contains(secret));
    assert!(!desk.holds(secret).await, "stands in the database");
    desk.call(&desk.stranger, Method::GET, path, None)
        .await
        .problem(404, "not-found");

    let (id, url) = desk.ask("square", nothing()).await;
    assert_eq!(Browser::new(&desk).consent(&url).await.status, 200);
    let consent = desk.consent(&id).await;
    assert_eq!(consent["status"], "connected");
    let grants = desk.sandbox.square.oauth.grants();
    assert_eq!(grants[0].client_id, "sq0idp-own");

    // Its grants could not be refreshed without it.
    let gone = desk.call(&desk.key, Method::DELETE, path, None).await;
    gone.problem(409, "connection-state");
    desk.disconnect(consent["connection_id"].as_str().unwrap())
        .await;
    let gone = desk.call(&desk.key, Method::DELETE, path, None).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    desk.get(path).await.problem(404, "not-found");
}

/// A run that finds the code sent before sends it no second time.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_begun_and_lost_ends_as_connect_again() {
    use patchbay_core::ids::ConsentId;
    let desk = Desk::new(Plan::default()).await;
    let (id, url) = desk.ask("square", nothing()).await;
    let mut browser = Browser::new(&desk);
    let page = browser.consent(&url).await;
    assert_eq!(page.status, 202);
    // As a worker leaves it that dies with the code on the wire.
    let consent: ConsentId = id.parse().unwrap();
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    assert!(store.begin_exchange(&tx, desk.org, consent).await.unwrap());
    tx.commit().await.unwrap();

    let _worker = desk.worker();
    let job = desk.consent(&id).await["job_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let job = desk.get(&format!("/jobs/{job}?wait=20")).await.json(200);
    assert_eq!(job["state"], "failed", "{job:#}");
    assert_eq!(job["error"]["kind"], "unknown_outcome");
    assert_eq!(desk.consent(&id).await["status"], "failed");
    assert!(
        desk.sandbox
            .square
            .oauth
            .token_calls()
            .values()
            .all(|calls| calls.arrived == 0)
    );
    assert!(desk.connections().await.is_empty());
}
