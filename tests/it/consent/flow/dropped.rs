//! What was granted and no connection keeps: it ends at the provider, too.

use std::time::Duration;

use patchbay_sandbox::{
    oauth::GrantState,
    square::{DEFAULT_MERCHANT, OTHER_MERCHANT},
};

use super::{choose, consented};
use crate::consent::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
};

/// What this account granted, oldest first: whether it has ended.
fn ended(desk: &Desk, account: &str) -> Vec<bool> {
    let grants = desk.sandbox.square.oauth.grants().into_iter();
    grants
        .filter(|grant: &GrantState| grant.account == account)
        .map(|grant| grant.ended.is_some())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_account_granted_is_taken_back() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    consented(&desk, nothing()).await;
    choose(&desk, OTHER_MERCHANT);
    let (second, _) = consented(&desk, nothing()).await;
    assert_eq!(second["failure"]["kind"], "conflict", "{second:#}");
    assert_eq!(ended(&desk, OTHER_MERCHANT), [true]);
    assert_eq!(ended(&desk, DEFAULT_MERCHANT), [false]);
}

/// One revocation would end both grants there.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_account_granted_stays_where_it_is_connected_elsewhere() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    choose(&desk, OTHER_MERCHANT);
    let asked = desk.call(
        &desk.stranger,
        axum::http::Method::POST,
        "/authorize/square",
        Some(nothing()),
    );
    let asked = asked.await.json(201);
    let address = asked["url"].as_str().unwrap();
    let page = Browser::new(&desk).consent(address).await;
    assert_eq!(page.status, 200, "{}", page.text);
    choose(&desk, DEFAULT_MERCHANT);
    consented(&desk, nothing()).await;
    choose(&desk, OTHER_MERCHANT);
    let (second, _) = consented(&desk, nothing()).await;
    assert_eq!(second["failure"]["kind"], "conflict", "{second:#}");
    assert_eq!(ended(&desk, OTHER_MERCHANT), [false, false]);
}

async fn a_disconnect_after_a_consent_stands(postgres: bool) {
    let desk = Desk::new(Plan {
        postgres,
        ..Plan::default()
    })
    .await;
    let worker = desk.worker();
    let (first, _) = consented(&desk, nothing()).await;
    drop(worker);
    let (id, url) = desk.ask("square", nothing()).await;
    let meanwhile = async {
        for _ in 0..6_000 {
            if desk.consent(&id).await["status"] == "exchanging" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        desk.disconnect(first["connection_id"].as_str().unwrap())
            .await;
        desk.worker()
    };
    let mut browser = Browser::new(&desk);
    let (_, _worker) = tokio::join!(browser.consent(&url), meanwhile);
    let job = desk.consent(&id).await["job_id"].clone();
    let path = format!("/jobs/{}?wait=30", job.as_str().unwrap());
    assert_eq!(desk.get(&path).await.json(200)["state"], "failed");
    let consent = desk.consent(&id).await;
    let failure = &consent["failure"];
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("disconnected after"), "{consent:#}");
    assert_eq!(failure["action"], "Connect again.");
    let rows = desk.connections().await;
    assert_eq!(rows.len(), 1);
    let shown = desk.connection(&rows[0].id.to_string()).await;
    assert_eq!(shown["status"], "disconnected");
    assert_eq!(ended(&desk, DEFAULT_MERCHANT), [true, true]);

    // One that is given now is another matter.
    let (again, _) = consented(&desk, nothing()).await;
    assert_eq!(again["connection_id"], first["connection_id"], "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_after_a_consent_stands_on_sqlite() {
    Box::pin(a_disconnect_after_a_consent_stands(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_after_a_consent_stands_on_postgres() {
    Box::pin(a_disconnect_after_a_consent_stands(true)).await;
}
