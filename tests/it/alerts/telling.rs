//! What a webhook is told, and how it is tried again.

use std::time::Duration;

use axum::http::Method;
use chrono::TimeDelta;
use patchbay_core::{
    failure::FailureKind,
    job::{JobState, Next},
};
use serde_json::{Value, json};

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    an_alert_arrives_signed,
    a_failed_delivery_is_tried_again_under_the_same_id,
    retry_after_is_kept,
    a_channel_removed_meanwhile_is_told_nothing,
    a_test_message_arrives,
    nothing_is_told_before_the_secret_is_stored,
);

async fn an_alert_arrives_signed(desk: Desk) {
    let (id, secret) = desk.set().await;
    let connection = desk.raise().await;
    let ran = desk.deliver().await;
    assert_eq!(ran.outcome.unwrap(), json!({ "sent": true, "status": 204 }));
    assert_eq!(ran.job.state, JobState::Succeeded);

    let message = desk.receiver.messages().remove(0);
    assert!(message.is_signed_with(&secret));
    assert_eq!(message.path, "/alerts");
    assert_eq!(message.header("content-type"), "application/json");
    let now = desk.office.ctx.clock.now().timestamp();
    let at: i64 = message.header("webhook-timestamp").parse().unwrap();
    assert!((0..300).contains(&(now - at)), "{at} at {now}");
    let body = message.json();
    assert_eq!(body["type"], "alert.raised");
    let data = &body["data"];
    assert_eq!(data["kind"], "credential_refused");
    assert_eq!(data["connection"]["id"], json!(connection));
    assert_eq!(data["connection"]["name"], "Till 7");
    let alert = desk.office.get("/alerts").await.json(200)["data"][0].clone();
    for field in ["id", "title", "meaning", "next_action"] {
        assert_eq!(data[field], alert[field], "{field}");
    }
    assert!(alert["notified_at"].is_string());

    let channel = desk.channel(&id).await;
    assert!(channel["last_delivered_at"].is_string(), "{channel:#}");
    assert_eq!(channel["last_error"], Value::Null);
    // Seen again, it is the same alert: nobody is told twice.
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1);
}

async fn a_failed_delivery_is_tried_again_under_the_same_id(desk: Desk) {
    let (id, secret) = desk.set().await;
    desk.raise().await;
    desk.receiver.answer([500]);
    let (next, failure) = desk.deliver().await.failure();
    assert_eq!(next, Next::Retry { after: None });
    assert_eq!(failure.kind, FailureKind::ProviderDown);
    let channel = desk.channel(&id).await;
    assert_eq!(channel["last_error"]["code"], "500");
    assert!(channel["last_error_at"].is_string());
    assert_eq!(channel["disabled_at"], Value::Null);

    desk.office.clock.advance(TimeDelta::seconds(40));
    desk.deliver().await.outcome.unwrap();
    let [first, second] = desk.receiver.messages().try_into().unwrap();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    assert!(first.is_signed_with(&secret) && second.is_signed_with(&secret));
    let at = |timestamp: &str| timestamp.parse::<i64>().unwrap();
    let later = at(second.header("webhook-timestamp")) - at(first.header("webhook-timestamp"));
    assert!(later >= 40, "a fresh timestamp: {later}");
    assert!(desk.channel(&id).await["last_delivered_at"].is_string());
}

async fn retry_after_is_kept(desk: Desk) {
    desk.set().await;
    desk.raise().await;
    let busy = |status| (status, vec![("retry-after", "77".to_owned())]);
    desk.receiver.answer_with([busy(429), busy(503)]);
    for kind in [FailureKind::RateLimited, FailureKind::ProviderDown] {
        let (next, failure) = desk.deliver().await.failure();
        let after = Some(Duration::from_secs(77));
        assert_eq!(next, Next::Retry { after });
        assert_eq!(failure.kind, kind);
    }
}

async fn a_channel_removed_meanwhile_is_told_nothing(desk: Desk) {
    let (id, _) = desk.set().await;
    desk.raise().await;
    let path = format!("/alert-channels/{id}");
    let key = &desk.office.key;
    let removed = desk.office.call(key, Method::DELETE, &path, None).await;
    assert_eq!(removed.status, 204);
    let ran = desk.deliver().await;
    assert_eq!(ran.outcome.unwrap()["sent"], false);
    assert_eq!(ran.job.state, JobState::Succeeded);
    assert!(desk.receiver.messages().is_empty());
}

async fn a_test_message_arrives(desk: Desk) {
    let (id, secret) = desk.set().await;
    let path = format!("/alert-channels/{id}/test");
    let key = &desk.office.stranger;
    let theirs = desk.office.call(key, Method::POST, &path, Some(json!({})));
    theirs.await.problem(404, "not-found");
    let job = desk.office.post(&path, json!({})).await.json(202);
    assert_eq!(job["kind"], "alert_delivery");
    desk.deliver().await.outcome.unwrap();
    let message = desk.receiver.messages().remove(0);
    assert!(message.is_signed_with(&secret));
    assert_eq!(message.json()["type"], "alert.test");
    assert_eq!(message.json()["data"]["channel"], id);
}

async fn nothing_is_told_before_the_secret_is_stored(desk: Desk) {
    let body = json!({ "url": desk.receiver.url() });
    let said = desk.office.post("/alert-channels/webhooks", body).await;
    let said = said.json(202);
    assert_eq!(said["channel"]["secret_mask"], Value::Null);
    desk.raise().await;
    assert!(desk.deliveries().await.is_empty());
    // A person may be quicker than the job that stores it: the test waits for it.
    let id = said["channel"]["id"].as_str().unwrap();
    let path = format!("/alert-channels/{id}/test");
    desk.office.post(&path, json!({})).await.json(202);
    let (next, _) = desk.deliver().await.failure();
    assert_eq!(next, Next::Retry { after: None });
    assert!(desk.receiver.messages().is_empty());
}
