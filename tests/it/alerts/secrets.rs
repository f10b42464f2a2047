//! What messages are signed with: shown once, kept closed, replaced, re-encrypted.

use axum::http::Request;
use chrono::TimeDelta;
use patchbay_core::{connection::ConnectionStatus, entities::alert_webhook};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    set_anew_it_signs_with_another_secret,
    a_rotation_of_keys_takes_the_secret_along,
    a_repeat_of_the_request_shows_no_secret,
    a_secret_that_does_not_open_is_shown_on_the_channel,
);

async fn set_anew_it_signs_with_another_secret(desk: Desk) {
    let (id, old) = desk.set().await;
    let mask = desk.channel(&id).await["secret_mask"].clone();
    let (again, new) = desk.set().await;
    assert_eq!(id, again);
    assert_ne!(old, new);
    assert_ne!(desk.channel(&id).await["secret_mask"], mask);
    desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    let message = desk.receiver.messages().remove(0);
    assert!(message.is_signed_with(&new) && !message.is_signed_with(&old));
}

async fn a_rotation_of_keys_takes_the_secret_along(desk: Desk) {
    let (_, secret) = desk.set().await;
    let ctx = &desk.office.ctx;
    let sealed = async || {
        let rows = alert_webhook::Entity::find().all(ctx.store.db()).await;
        rows.unwrap().remove(0).secret.unwrap()
    };
    let before = sealed().await;
    let done = ctx.vault.reencrypt(&ctx.store, &|_| {}).await.unwrap();
    assert_eq!((done.keys_left, done.trouble.count), (0, 0));
    assert_ne!(before, sealed().await);
    desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    assert!(desk.receiver.messages()[0].is_signed_with(&secret));
}

async fn a_repeat_of_the_request_shows_no_secret(desk: Desk) {
    let ask = async || {
        let body = json!({ "url": desk.receiver.url() }).to_string();
        let request = Request::post("/api/integrations/alert-channels/webhooks")
            .header("authorization", format!("Bearer {}", desk.office.key))
            .header("content-type", "application/json")
            .header("idempotency-key", "once")
            .body(body.into())
            .unwrap();
        desk.office.send(request).await.json(202)
    };
    let (first, again) = (ask().await, ask().await);
    assert!(first["secret"].is_string());
    assert_eq!(again["secret"], Value::Null);
    assert_eq!(first["job"]["id"], again["job"]["id"]);
    assert_eq!(first["channel"]["id"], again["channel"]["id"]);
}

async fn a_secret_that_does_not_open_is_shown_on_the_channel(desk: Desk) {
    let (id, _) = desk.set().await;
    // The operator deletes the organization's secrets for good.
    let store = &desk.office.ctx.store;
    store
        .forget_secrets(desk.office.org, "test", |_| ConnectionStatus::Error)
        .await
        .unwrap();
    // A worker may keep an opened key for a minute.
    desk.office.clock.advance(TimeDelta::minutes(2));
    desk.raise().await;
    desk.deliver().await.failure();
    let channel = desk.channel(&id).await;
    let words = channel["last_error"]["message"].as_str().unwrap();
    assert!(words.contains("cannot be opened"), "{words}");
    assert!(desk.receiver.messages().is_empty());
    // Set anew, it has a secret under a new key.
    let (_, secret) = desk.set().await;
    desk.deliver().await.outcome.unwrap();
    assert!(desk.receiver.messages()[0].is_signed_with(&secret));
}

#[tokio::test]
async fn a_secret_stands_nowhere_in_clear() {
    let desk = super::desk::desk(false).await;
    let (_, secret) = desk.set().await;
    desk.raise().await;
    desk.receiver.answer([500]);
    desk.deliver().await.failure();
    desk.deliver().await.outcome.unwrap();
    let bare = secret.strip_prefix("whsec_").unwrap();
    assert!(!desk.office.holds(bare).await);
    // The search finds what is there.
    assert!(desk.office.holds(&desk.receiver.url()).await);
    let shown = desk.office.get("/alert-channels").await.text
        + &desk.office.get("/jobs").await.text
        + &desk.office.get("/events").await.text;
    assert!(!shown.contains(bare));
}
