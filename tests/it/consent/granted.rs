//! What is known of the scopes that an account granted, where the token endpoint does not say
//! it: Etsy is asked for them, and of anybody else they are those that were asked for (RFC 6749,
//! section 5.1).

use std::{collections::BTreeMap, sync::Arc};

use patchbay_core::secret::Secret;
use patchbay_providers::{Registry, oauth::OauthClient};
use patchbay_sandbox::{etsy, oauth::Answer as Choice};
use patchbay_worker::OauthClients;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
    generic::{redeclared, with_testbed},
    hostile::{Answer, Hostile, grant},
};

/// Etsy as it will be with a stream of listings.
fn with_listings(registry: Registry) -> Registry {
    redeclared(registry, "etsy", |manifest| {
        manifest["auth"]["scopes"] = json!(["shops_r", "listings_r"]);
        manifest["capabilities"] = json!([{ "key": "sync_listings", "label": "Pull listings" }]);
        manifest["streams"] = json!([{
            "key": "listings", "label": "Listings", "unit": "listings",
            "capability": "sync_listings", "modes": ["full"], "scopes": ["listings_r"],
        }]);
    })
}

/// Consents in a browser, leaving these scopes ticked; the connection as it is shown then.
async fn consented(desk: &Desk, scopes: &[&str]) -> Value {
    desk.sandbox.etsy.oauth.answer_always(Some(Choice {
        scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
        ..Choice::default()
    }));
    let (id, url) = desk.ask("etsy", nothing()).await;
    let page = Browser::new(desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let consent = desk.consent(&id).await;
    let connection = consent["connection_id"].as_str().unwrap();
    desk.connection(connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn etsy_is_asked_what_was_granted_and_less_is_degraded() {
    let mut plan = Plan::with("oauth.etsy.client_id", etsy::oauth::CLIENT_ID);
    plan.registry = Box::new(with_listings);
    let mut desk = Desk::new(plan).await;
    let client = OauthClient {
        id: etsy::oauth::CLIENT_ID.into(),
        secret: Some(Secret::new(etsy::oauth::CLIENT_SECRET)),
    };
    let clients = BTreeMap::from([("etsy".to_owned(), client)]);
    desk.ctx.clients = Arc::new(OauthClients::new(clients));
    let _worker = desk.worker();

    let less = consented(&desk, &["shops_r"]).await;
    assert_eq!(less["credential"]["scopes"], json!(["shops_r"]));
    assert_eq!(less["health"], "degraded", "{less:#}");
    assert_eq!(
        less["capabilities_missing"],
        json!({ "sync_listings": ["listings_r"] })
    );
    let why = &less["health_reason"];
    assert_eq!(why["kind"], "scope", "{why:#}");
    let message = why["message"].as_str().unwrap();
    assert!(message.contains("listings_r"), "{message}");

    let all = consented(&desk, &["shops_r", "listings_r"]).await;
    assert_eq!(all["id"], less["id"]);
    assert_eq!(
        all["credential"]["scopes"],
        json!(["shops_r", "listings_r"])
    );
    assert_eq!(all["health"], "healthy", "{all:#}");
    assert_eq!(all["capabilities_missing"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_scopes_means_those_that_were_asked_for() {
    let mut silent = grant();
    silent.as_object_mut().unwrap().remove("scope");
    let hostile = Hostile::answering(Answer::json(&silent)).await;
    let url = hostile.url.clone();
    let mut plan = Plan::with("oauth.testbed.client_id", "patchbay");
    plan.registry = Box::new(move |registry| with_testbed(registry, &url, true));
    let desk = Desk::new(plan).await;
    let _worker = desk.worker();

    // Not all that the manifest names: `sync_folders` is not wanted.
    let body = json!({ "capabilities": ["sync_files"] });
    let (id, mut browser, state) = desk.opened("testbed", body).await;
    let query = format!("code=a-code&state={state}&iss={}", hostile.url);
    assert_eq!(browser.back("testbed", &query).await.status, 200);
    let consent = desk.consent(&id).await;
    let connection = consent["connection_id"].as_str().unwrap();
    let shown = desk.connection(connection).await;
    let scopes = shown["credential"]["scopes"].as_array().unwrap();
    assert!(scopes.contains(&json!("files.read")), "{scopes:?}");
    assert!(!scopes.contains(&json!("files.write")), "{scopes:?}");
    assert_eq!(shown["health"], "healthy", "{shown:#}");
}
