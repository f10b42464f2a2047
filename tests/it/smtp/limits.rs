//! Limits per hour and day: kept by the whole fleet, shown, and given back.

use chrono::TimeDelta;
use futures::future::join_all;
use patchbay_core::{
    clock::{Clock, SystemClock},
    ids::{ConnectionId, OrgId},
    job::JobState,
    quota::Limits,
    store::{
        Store,
        quotas::{Span, Taken},
    },
};
use patchbay_worker::jobs;
use serde_json::{Value, json};

use super::post_office::{PostOffice, ServerPlan, mail};

async fn usage(office: &PostOffice, connection: &str) -> Value {
    office.desk.connection(connection).await["usage"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_limit_an_e_mail_waits_for_the_next_hour() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let worker = office.desk.worker();
    let limits = json!({ "hourly_limit": 2, "daily_limit": 10 });
    let connection = office.connected_with(limits).await;
    for _ in 0..2 {
        let done = office.act(&connection, "send_email", mail("Hello")).await;
        assert_eq!(done["state"], "succeeded", "{done:#}");
    }
    let used = usage(&office, &connection).await;
    assert_eq!(used["unit"], "e-mails");
    assert_eq!(
        (&used["hour"]["used"], &used["hour"]["limit"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&used["day"]["used"], &used["day"]["limit"]),
        (&json!(2), &json!(10))
    );

    let asked = office
        .ask(&connection, "send_email", mail("Hello"), 0)
        .await;
    let id = asked.json(202)["id"].as_str().unwrap().to_owned();
    let waits = |job: &patchbay_core::entities::job::Model| {
        job.state == JobState::Queued && job.error.is_some()
    };
    let job = office.job_when(&id, waits).await;
    assert_eq!(job.attempt, 0, "waiting burns no attempt");
    let error = job.error.unwrap();
    assert_eq!(error["kind"], "rate_limited", "{error:#}");
    assert_eq!(error["next_action"]["until"], used["hour"]["resets_at"]);
    office.server.mails(2).await;

    // The next hour.
    drop(worker);
    office.desk.clock.advance(TimeDelta::hours(1));
    let run = office.claim(&id).await;
    jobs::run(&run, &office.desk.ctx).await.unwrap();
    office.server.mails(3).await;
    let used = usage(&office, &connection).await;
    assert_eq!(used["hour"]["used"], 1, "{used:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_that_the_server_refuses_is_not_counted() {
    let office = PostOffice::on_postgres(ServerPlan::open()).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let done = office.act(&connection, "send_email", mail("refuse")).await;
    assert_eq!(done["state"], "failed", "{done:#}");
    assert_eq!(done["error"]["kind"], "invalid");
    assert_eq!(done["error"]["code"], "554 5.7.1");

    // Not now, at the last moment: it is certain that it was not sent, so it is tried again.
    let asked = office.ask(&connection, "send_email", mail("busy"), 0).await;
    let id = asked.json(202)["id"].as_str().unwrap().to_owned();
    let tried = |job: &patchbay_core::entities::job::Model| {
        job.state == JobState::Queued && job.attempt == 1
    };
    let job = office.job_when(&id, tried).await;
    assert_eq!(job.error.unwrap()["code"], "452 4.3.1");
    let used = usage(&office, &connection).await;
    assert_eq!(
        (&used["hour"]["used"], &used["day"]["used"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(used["hour"]["limit"], Value::Null);
}

async fn take(store: &Store, whose: (OrgId, ConnectionId), limits: Limits, hours: i64) -> Taken {
    let at = SystemClock.now() + TimeDelta::hours(hours);
    let tx = store.begin().await.unwrap();
    let taken = store.take_quota(&tx, whose, limits, at).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn a_limit_holds_against_many_at_once(office: PostOffice) {
    let worker = office.desk.worker();
    let connection = office.connected().await;
    drop(worker);
    let store = &office.desk.ctx.store;
    let whose = (office.desk.org, connection.parse().unwrap());
    let limits = Limits {
        hour: Some(5),
        day: Some(7),
    };
    let many = join_all((0..20).map(|_| take(store, whose, limits, 0))).await;
    let taken = many.iter().filter(|taken| **taken == Taken::Yes).count();
    // Twenty that straddle the hour would be two windows.
    let hour = Span::Hour.length();
    assert!(taken == 5 || taken == 7, "{taken} in {hour}");

    // A new day, and one whose look at the clock comes from the hour before.
    let days = 48;
    for _ in 0..4 {
        assert_eq!(take(store, whose, limits, days).await, Taken::Yes);
    }
    assert_eq!(take(store, whose, limits, days - 1).await, Taken::Yes);
    let Taken::Full(full) = take(store, whose, limits, days).await else {
        panic!("the hour has its five");
    };
    assert_eq!((full.span, full.used), (Span::Hour, 5));
    for _ in 0..2 {
        assert_eq!(take(store, whose, limits, days + 1).await, Taken::Yes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_against_many_at_once_on_sqlite() {
    a_limit_holds_against_many_at_once(PostOffice::on_sqlite(ServerPlan::open()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_against_many_at_once_on_postgres() {
    a_limit_holds_against_many_at_once(PostOffice::on_postgres(ServerPlan::open()).await).await;
}
