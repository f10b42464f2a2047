//! What messages are signed with: shown once, kept closed, replaced, re-encrypted.

use axum::http::Request;
use patchbay_core::{
    connection::ConnectionStatus,
    entities::alert_webhook,
    failure::{Failure, FailureKind},
    ids::ProcessId,
    job::{Settle, Settlement},
};
use patchbay_worker::JobRun;
use sea_orm::{EntityTrait, sea_query::Expr};
use serde_json::{Value, json};

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    set_anew_it_signs_with_another_secret,
    a_rotation_of_keys_takes_the_secret_along,
    a_repeat_of_the_request_shows_no_secret,
    a_secret_that_does_not_open_is_shown_on_the_channel,
    secrets_deleted_for_good_leave_the_webhook_without_one,
    a_job_that_is_retried_late_puts_no_older_secret_back,
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
    // Somebody has changed what is stored.
    let broken = Expr::value(vec![0_u8; 120]);
    alert_webhook::Entity::update_many()
        .col_expr(alert_webhook::Column::Secret, broken)
        .exec(desk.office.ctx.store.db())
        .await
        .unwrap();
    desk.raise().await;
    desk.deliver().await.failure();
    let error = desk.channel(&id).await["last_error"].clone();
    let words = error["message"].as_str().unwrap();
    assert!(words.contains("cannot be opened"), "{words}");
    let action = error["action"].as_str().unwrap();
    assert!(action.contains("set the channel anew"), "{action}");
    assert!(!action.contains("credential"), "{action}");
    assert!(desk.receiver.messages().is_empty());
    let (_, secret) = desk.set().await;
    desk.deliver().await.outcome.unwrap();
    assert!(desk.receiver.messages()[0].is_signed_with(&secret));
}

async fn secrets_deleted_for_good_leave_the_webhook_without_one(desk: Desk) {
    let (id, _) = desk.set().await;
    let store = &desk.office.ctx.store;
    let forgotten = store.forget_secrets(desk.office.org, "test", |_| ConnectionStatus::Error);
    assert_eq!(forgotten.await.unwrap().webhook_secrets, 1);
    let channel = desk.channel(&id).await;
    assert_eq!(channel["secret_mask"], Value::Null);
    let row = alert_webhook::Entity::find().one(store.db()).await;
    assert_eq!(row.unwrap().unwrap().secret, None);
    desk.raise().await;
    assert!(desk.deliveries().await.is_empty());
    // Set anew, it has a secret under a new key.
    let (_, secret) = desk.set().await;
    desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    assert!(desk.receiver.messages()[0].is_signed_with(&secret));
}

async fn a_job_that_is_retried_late_puts_no_older_secret_back(desk: Desk) {
    let ask = json!({ "url": desk.receiver.url() });
    let said = desk.office.post("/alert-channels/webhooks", ask).await;
    let first = said.json(202)["job"]["id"].as_str().unwrap().to_owned();
    let job = desk.office.job(&first).await;
    let jobs = desk.office.ctx.store.jobs();
    let me = ProcessId::new(desk.office.ctx.store.clock());
    jobs.register(me, "worker", "test").await.unwrap();
    let claimed = jobs.claim(me, job.queue, &[job.id]).await.unwrap();
    let run = JobRun::new(
        claimed.into_iter().next().unwrap(),
        desk.office.ctx.store.clone(),
        desk.office.ctx.hints.clone(),
    );
    let failure = Failure::new(FailureKind::Internal, "gave up", "retry it");
    let end = Settle::Fail { failure };
    let lease = run.lease;
    jobs.settle(&[Settlement { lease, end }]).await.unwrap();

    let (_, secret) = desk.set().await;
    let path = format!("/jobs/{first}/retry");
    desk.office.post(&path, json!({})).await;
    let again = desk.office.job(&first).await;
    let ran = desk.run(&again, &desk.office.ctx).await;
    assert_eq!(ran.outcome.unwrap()["stored"], false);
    desk.raise().await;
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
