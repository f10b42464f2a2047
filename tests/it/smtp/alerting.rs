//! Alerts by e-mail, all the way: a provider that fails, checks of it, a scheduler's look, the
//! job that sends, and the mail server that takes the message.

use std::sync::Arc;

use axum::http::Method;
use chrono::TimeDelta;
use patchbay_core::{entities::alert, store::alerts::AlertWalk};
use patchbay_sandbox::{
    faults::{Effect, Fault},
    square::DEFAULT_TOKEN,
};
use patchbay_scheduler::{Identity, SchedulerDeps};
use sea_orm::{EntityTrait, sea_query::Expr};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::post_office::{PostOffice, ServerPlan, header};

/// A Square connection that works.
async fn till(office: &PostOffice) -> String {
    let body = json!({
        "provider": "square", "name": "Till 7", "credential": { "access_token": DEFAULT_TOKEN },
    });
    let made = office
        .desk
        .post("/connections?wait=30", body)
        .await
        .json(200);
    assert_eq!(made["connection"]["status"], "active", "{made:#}");
    made["connection"]["id"].as_str().unwrap().to_owned()
}

/// A real scheduler, until it is dropped.
fn scheduler(office: &PostOffice) -> DropGuard {
    let ctx = &office.desk.ctx;
    let own = Identity::Own {
        host: "test".to_owned(),
    };
    let (hints, clock) = (Arc::clone(&ctx.hints), Arc::clone(&ctx.clock));
    let deps = SchedulerDeps::new(ctx.store.clone(), hints, clock, own);
    let stop = CancellationToken::new();
    tokio::spawn(patchbay_scheduler::run(deps, stop.clone()));
    stop.drop_guard()
}

/// What its duty does every fifteen seconds.
async fn look(office: &PostOffice) {
    let mut walk = AlertWalk::default();
    let store = &office.desk.ctx.store;
    store.look_for_alerts(&mut walk).await.unwrap();
}

async fn checks(office: &PostOffice, connection: &str, count: usize, pass: bool) {
    let faults = &office.desk.sandbox.faults;
    faults.clear();
    if !pass {
        let down = Effect::ServerError { status: 503 };
        faults.add(Fault::everywhere(down)).unwrap();
    }
    for _ in 0..count {
        let checked = office.desk.post_to(connection, "check?wait=30", json!({}));
        let checked = checked.await.json(200);
        assert_eq!(checked["result"]["ok"], pass, "{checked:#}");
    }
}

/// It recovers and fails again, and a scheduler sees both.
async fn flap(office: &PostOffice, connection: &str) {
    checks(office, connection, 2, true).await;
    look(office).await;
    assert_eq!(alerts(office, "resolved").await.len(), 1);
    checks(office, connection, 3, false).await;
    look(office).await;
    assert_eq!(alerts(office, "open").await.len(), 1);
}

async fn alerts(office: &PostOffice, state: &str) -> Vec<Value> {
    let page = office.desk.get(&format!("/alerts?state={state}")).await;
    page.json(200)["data"].as_array().unwrap().clone()
}

/// Messages that were enqueued, sent or not.
async fn messages(office: &PostOffice, connection: &str) -> usize {
    let path = format!("/jobs?connection={connection}&kind=action");
    let page = office.desk.get(&path).await.json(200);
    page["data"].as_array().unwrap().len()
}

async fn a_connection_that_keeps_failing_is_told_by_e_mail(office: PostOffice) {
    let _worker = office.desk.worker();
    let mailer = office.connected().await;
    let to = json!(["Ops <ops@example.com>", "kim@example.com"]);
    let channel = json!({ "connection_id": mailer, "to": to });
    office.desk.post("/alert-channels", channel).await.json(200);
    let till = till(&office).await;

    checks(&office, &till, 2, false).await;
    look(&office).await;
    assert_eq!(messages(&office, &mailer).await, 0, "twice is no alert");
    checks(&office, &till, 1, false).await;
    let scheduler = scheduler(&office);
    let mails = office.server.mails(1).await;
    drop(scheduler);
    let mail = &mails[0];
    assert_eq!(mail["encrypted"], true);
    assert_eq!(mail["sender"], "till@example.com");
    assert_eq!(
        mail["recipients"],
        json!(["ops@example.com", "kim@example.com"])
    );
    assert_eq!(
        header(mail, "Subject").unwrap(),
        "[Patchbay] A connection keeps failing"
    );
    let text = mail["text"].as_str().unwrap();
    for words in [
        "A connection keeps failing.",
        "failed as often in a row as makes an alert here",
        "What to do: Look at the connection's last error",
        "Connection: Till 7 (square)",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let open = alerts(&office, "open").await;
    assert!(text.contains(open[0]["id"].as_str().unwrap()), "{text}");
    assert!(open[0]["notified_at"].is_string());

    // It flaps: nobody wants five more.
    for _ in 0..5 {
        flap(&office, &till).await;
    }
    assert_eq!(messages(&office, &mailer).await, 1);
    assert_eq!(alerts(&office, "open").await[0]["flaps"], 5);

    // A shorter quiet period, and it is over.
    let limits = json!({ "quiet_seconds": 60 });
    let key = &office.desk.key;
    let set = office
        .desk
        .call(key, Method::PUT, "/alert-limits", Some(limits));
    set.await.json(200);
    let ctx = &office.desk.ctx;
    let heard = ctx.store.jobs().now().await.unwrap() - TimeDelta::seconds(61);
    alert::Entity::update_many()
        .col_expr(alert::Column::NotifiedAt, Expr::value(heard))
        .exec(ctx.store.db())
        .await
        .unwrap();
    flap(&office, &till).await;
    assert_eq!(messages(&office, &mailer).await, 2);
    office.server.mails(2).await;

    // It recovers, and that resolves the alert without a word.
    checks(&office, &till, 2, true).await;
    look(&office).await;
    assert!(alerts(&office, "open").await.is_empty());
    assert_eq!(messages(&office, &mailer).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_keeps_failing_is_told_by_e_mail_on_sqlite() {
    let office = PostOffice::on_sqlite(ServerPlan::of("starttls")).await;
    Box::pin(a_connection_that_keeps_failing_is_told_by_e_mail(office)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_keeps_failing_is_told_by_e_mail_on_postgres() {
    let office = PostOffice::on_postgres(ServerPlan::of("tls")).await;
    Box::pin(a_connection_that_keeps_failing_is_told_by_e_mail(office)).await;
}
