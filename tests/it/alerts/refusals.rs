//! Receivers that refuse, and addresses that are none.

use std::sync::Arc;

use patchbay_core::{
    failure::FailureKind,
    job::{JobState, Next},
    outbound::{Outbound, OutboundConfig},
};
use patchbay_worker::Context;
use serde_json::{Value, json};

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    one_that_is_gone_is_told_no_more_until_a_test_arrives,
    a_redirect_is_not_followed,
    an_address_inside_is_refused_when_it_is_called,
);

async fn one_that_is_gone_is_told_no_more_until_a_test_arrives(desk: Desk) {
    let (id, _) = desk.set().await;
    desk.raise().await;
    desk.receiver.answer([410]);
    let ran = desk.deliver().await;
    assert_eq!(ran.job.state, JobState::Failed);
    let (next, failure) = ran.failure();
    assert_eq!(next, Next::Fail);
    assert!(failure.message.contains("410"), "{failure:?}");
    let channel = desk.channel(&id).await;
    assert!(channel["disabled_at"].is_string(), "{channel:#}");
    let words = channel["last_error"]["message"].as_str().unwrap();
    assert!(words.contains("wants no more messages"), "{words}");
    let events = desk.office.get("/events?kind=alert_channel.disabled").await;
    let event = events.json(200)["data"][0].clone();
    assert_eq!(event["data"]["channel"], id, "{event:#}");

    // Two more alerts: of what is dead now, and of another connection.
    desk.raise().await;
    assert_eq!(desk.deliveries().await.len(), 1);

    let path = format!("/alert-channels/{id}/test");
    desk.office.post(&path, json!({})).await.json(202);
    desk.deliver().await.outcome.unwrap();
    assert_eq!(desk.channel(&id).await["disabled_at"], Value::Null);
    desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    assert_eq!(desk.receiver.messages().len(), 3);
}

async fn a_redirect_is_not_followed(desk: Desk) {
    let (id, _) = desk.set().await;
    desk.raise().await;
    let elsewhere = format!("http://{}/elsewhere", desk.receiver.address);
    for status in [301, 302, 307, 308] {
        let answer = (status, vec![("location", elsewhere.clone())]);
        desk.receiver.answer_with([answer]);
        let (next, failure) = desk.deliver().await.failure();
        assert_eq!(next, Next::Retry { after: None });
        assert!(failure.message.contains("not followed"), "{failure:?}");
    }
    let paths: Vec<String> = desk
        .receiver
        .messages()
        .into_iter()
        .map(|it| it.path)
        .collect();
    assert_eq!(paths, ["/alerts"; 4]);
    assert_eq!(desk.channel(&id).await["last_error"]["code"], "308");
}

async fn an_address_inside_is_refused_when_it_is_called(desk: Desk) {
    let (id, _) = desk.set().await;
    desk.raise().await;
    let strict = Context {
        outbound: Arc::new(Outbound::new(OutboundConfig::default()).unwrap()),
        ..desk.office.ctx.clone()
    };
    let ran = desk.deliver_with(&strict).await;
    assert_eq!(ran.job.state, JobState::Failed);
    let (_, failure) = ran.failure();
    assert_eq!(failure.kind, FailureKind::Blocked);
    assert!(desk.receiver.messages().is_empty());
    assert_eq!(desk.channel(&id).await["last_error"]["kind"], "blocked");
}
