//! Receivers that refuse, and addresses that are none.

use std::sync::Arc;

use chrono::TimeDelta;
use patchbay_core::{
    entities::alert_webhook,
    failure::{Failure, FailureKind},
    job::{JobState, Next},
    outbound::{Outbound, OutboundConfig},
};
use patchbay_worker::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    one_that_is_gone_is_told_no_more_until_a_test_arrives,
    what_arrives_late_takes_no_receiver_back_that_is_gone,
    a_body_that_is_long_and_never_ends_is_not_waited_for,
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

    // A person who retries the message is told that it was not sent.
    let dead = desk.deliveries().await[0].id;
    let path = format!("/jobs/{dead}/retry");
    desk.office.post(&path, json!({})).await;
    let ran = desk.deliver().await;
    assert_eq!(ran.job.state, JobState::Failed);
    let (_, failure) = ran.failure();
    assert!(failure.message.contains("not sent"), "{failure:?}");
    assert_eq!(desk.receiver.messages().len(), 1);

    let path = format!("/alert-channels/{id}/test");
    desk.office.post(&path, json!({})).await.json(202);
    desk.deliver().await.outcome.unwrap();
    assert_eq!(desk.channel(&id).await["disabled_at"], Value::Null);
    let events = desk.office.get("/events?kind=alert_channel.enabled").await;
    let event = events.json(200)["data"][0].clone();
    assert_eq!(event["data"]["channel"], id, "{event:#}");
    assert_ne!(event["actor"], "system", "{event:#}");
    desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    assert_eq!(desk.receiver.messages().len(), 3);
}

async fn what_arrives_late_takes_no_receiver_back_that_is_gone(desk: Desk) {
    let (id, _) = desk.set().await;
    let store = &desk.office.ctx.store;
    let read = async || {
        let id = id.parse().unwrap();
        let row = store.alert_webhook(store.db(), desk.office.org, id).await;
        row.unwrap().unwrap()
    };
    let delivered = async |row: &alert_webhook::Model, tested_by| {
        let tx = store.begin().await.unwrap();
        let noted = store.note_alert_delivered(&tx, row, tested_by).await;
        noted.unwrap();
        tx.commit().await.unwrap();
    };
    let gone = async |row: &alert_webhook::Model| {
        desk.office.clock.advance(TimeDelta::seconds(1));
        let failure = Failure::new(FailureKind::NotFound, "410", "remove it");
        let tx = store.begin().await.unwrap();
        let noted = store.note_alert_undelivered(&tx, row, &failure, true).await;
        noted.unwrap();
        tx.commit().await.unwrap();
    };
    let in_use = read().await;
    gone(&in_use).await;
    // An alert that was on its way, and one that read the row after the 410.
    delivered(&in_use, None).await;
    let since = read().await;
    assert!(since.disabled_at.is_some() && since.last_delivered_at.is_some());
    delivered(&since, None).await;
    assert_eq!(read().await.disabled_at, since.disabled_at);
    // A test that is taken after the receiver said it once more.
    gone(&since).await;
    delivered(&since, Some("kim")).await;
    let since = read().await;
    assert!(since.disabled_at.is_some());
    delivered(&since, Some("kim")).await;
    assert_eq!(read().await.disabled_at, None);
}

async fn a_body_that_is_long_and_never_ends_is_not_waited_for(desk: Desk) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/slow", listener.local_addr().unwrap());
    let (id, _) = desk.set_at(&url).await;
    desk.raise().await;
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16 * 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nand so on";
        stream.write_all(head).await.unwrap();
        std::future::pending::<()>().await;
    });
    let ran = desk.deliver().await;
    assert_eq!(ran.outcome.unwrap(), json!({ "sent": true, "status": 200 }));
    assert!(desk.channel(&id).await["last_delivered_at"].is_string());
    answering.abort();
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
