//! What comes back within the quiet period, or while it is silent, is told when that is over.

use axum::http::Method;
use chrono::TimeDelta;
use patchbay_core::{
    connection::ConnectionStatus,
    entities::alert::{Column, Entity, Model},
    failure::{Failure, FailureKind},
    ids::ConnectionId,
};
use sea_orm::{EntityTrait, sea_query::Expr};
use serde_json::json;

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    what_is_still_wrong_when_the_quiet_period_is_over_is_told_once,
    what_is_over_or_known_when_the_quiet_period_ends_is_not_told,
    what_came_back_in_silence_is_told_once_when_the_silence_is_over,
    what_is_over_or_known_when_a_silence_ends_is_not_told,
    a_silence_holds_also_when_the_cause_was_gone_for_long,
);

/// The connection heals, and breaks again if `breaks`; a scheduler sees it.
async fn heals(desk: &Desk, id: ConnectionId, breaks: bool) {
    let store = &desk.office.ctx.store;
    let tx = store.begin().await.unwrap();
    let row = store.lock_connection(&tx, desk.office.org, id).await;
    let row = row.unwrap().unwrap();
    let row = store.restore_connection(&tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    desk.look().await;
    if breaks {
        let tx = store.begin().await.unwrap();
        let failure = Failure::new(FailureKind::Auth, "refused", "send another");
        store
            .note_failure(&tx, &row, &failure, Some(ConnectionStatus::Error))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        desk.look().await;
    }
}

/// As if the last message had been sent so long ago.
async fn told_ago(desk: &Desk, minutes: i64) {
    let past = desk.office.ctx.clock.now() - TimeDelta::minutes(minutes);
    Entity::update_many()
        .col_expr(Column::NotifiedAt, Expr::value(past))
        .exec(desk.office.ctx.store.db())
        .await
        .unwrap();
}

async fn the_alert(desk: &Desk) -> Model {
    let mut all = Entity::find()
        .all(desk.office.ctx.store.db())
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn what_is_still_wrong_when_the_quiet_period_is_over_is_told_once(desk: Desk) {
    desk.set().await;
    let connection = desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    heals(&desk, connection, true).await;
    told_ago(&desk, 29).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1, "it is quiet");
    told_ago(&desk, 31).await;
    desk.look().await;
    desk.deliver().await.outcome.unwrap();
    let messages = desk.receiver.messages();
    let data = |at: usize| messages[at].json()["data"].clone();
    assert_eq!(messages.len(), 2);
    assert_eq!(data(0)["id"], data(1)["id"]);
    assert_eq!(data(1)["flaps"], 1);
    let age = desk.office.ctx.clock.now() - the_alert(&desk).await.notified_at.unwrap();
    assert!(age < TimeDelta::minutes(5), "{age}");
    // What has been told is not told again, however long it stays.
    told_ago(&desk, 300).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 2);
}

async fn what_is_over_or_known_when_the_quiet_period_ends_is_not_told(desk: Desk) {
    desk.set().await;
    let connection = desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    heals(&desk, connection, true).await;
    assert!(the_alert(&desk).await.withheld_at.is_some());
    heals(&desk, connection, false).await;
    told_ago(&desk, 31).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1, "it is over");

    told_ago(&desk, 1).await;
    heals(&desk, connection, true).await;
    let path = format!("/alerts/{}/acknowledge", the_alert(&desk).await.id);
    let key = &desk.office.key;
    let known = desk.office.call(key, Method::POST, &path, Some(json!({})));
    known.await.json(200);
    told_ago(&desk, 31).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1, "somebody knows");
}

/// A person wants to hear nothing of it for two hours.
async fn silence(desk: &Desk) {
    let path = format!("/alerts/{}/silence", the_alert(desk).await.id);
    let until = desk.office.ctx.clock.now() + TimeDelta::hours(2);
    let said = desk.office.call(
        &desk.office.key,
        Method::POST,
        &path,
        Some(json!({ "until": until })),
    );
    said.await.json(200);
}

/// As if the two hours had passed.
async fn silence_ends(desk: &Desk) {
    let past = desk.office.ctx.clock.now() - TimeDelta::minutes(1);
    Entity::update_many()
        .col_expr(Column::SilencedUntil, Expr::value(past))
        .exec(desk.office.ctx.store.db())
        .await
        .unwrap();
}

async fn what_came_back_in_silence_is_told_once_when_the_silence_is_over(desk: Desk) {
    desk.set().await;
    let connection = desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    silence(&desk).await;
    told_ago(&desk, 31).await;
    heals(&desk, connection, true).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1, "it is silent");
    silence_ends(&desk).await;
    desk.look().await;
    desk.deliver().await.outcome.unwrap();
    let messages = desk.receiver.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].json()["data"]["flaps"], 1);
    told_ago(&desk, 300).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 2, "once");
}

async fn what_is_over_or_known_when_a_silence_ends_is_not_told(desk: Desk) {
    desk.set().await;
    let connection = desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    silence(&desk).await;
    told_ago(&desk, 31).await;
    heals(&desk, connection, true).await;
    assert!(the_alert(&desk).await.withheld_at.is_some());
    heals(&desk, connection, false).await;
    silence_ends(&desk).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1, "it is over");

    silence(&desk).await;
    heals(&desk, connection, true).await;
    assert!(the_alert(&desk).await.withheld_at.is_some());
    let path = format!("/alerts/{}/acknowledge", the_alert(&desk).await.id);
    let key = &desk.office.key;
    let known = desk.office.call(key, Method::POST, &path, Some(json!({})));
    known.await.json(200);
    silence_ends(&desk).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 1, "somebody knows");
}

async fn a_silence_holds_also_when_the_cause_was_gone_for_long(desk: Desk) {
    desk.set().await;
    let connection = desk.raise().await;
    desk.deliver().await.outcome.unwrap();
    let path = format!("/alerts/{}/acknowledge", the_alert(&desk).await.id);
    let key = &desk.office.key;
    let known = desk.office.call(key, Method::POST, &path, Some(json!({})));
    known.await.json(200);
    silence(&desk).await;
    heals(&desk, connection, false).await;
    let past = desk.office.ctx.clock.now() - TimeDelta::minutes(31);
    Entity::update_many()
        .col_expr(Column::ResolvedAt, Expr::value(past))
        .exec(desk.office.ctx.store.db())
        .await
        .unwrap();
    told_ago(&desk, 31).await;
    heals(&desk, connection, true).await;
    assert!(the_alert(&desk).await.resolved_at.is_none(), "the same one");
    assert_eq!(desk.deliveries().await.len(), 1, "it is silent");
    // Who acknowledged it then knows nothing of what came back.
    silence_ends(&desk).await;
    desk.look().await;
    assert_eq!(desk.deliveries().await.len(), 2);
}
