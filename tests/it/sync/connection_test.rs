//! What a new credential goes through, and what a refused one does.

use patchbay_core::{
    connection::{ConnectionStatus, Health},
    failure::FailureKind,
    job::{JobState, Next},
    store::connections::{Inserted, NewConnection},
};
use patchbay_providers::PullMode;
use patchbay_sandbox::{
    Effect, Fault,
    square::{DEFAULT_MERCHANT, Token},
};
use patchbay_worker::jobs;
use serde_json::{Value, json};

use super::{
    desk::{Desk, NEIGHBOURS_TOKEN, TOKEN},
    on_both_databases,
};

on_both_databases!(
    a_right_token_makes_the_connection_active,
    a_wrong_token_leaves_the_connection_pending_and_says_what_to_do,
    a_wrong_new_token_leaves_the_old_one_in_force,
    the_token_stands_nowhere_in_clear,
    a_refused_token_breaks_the_connection_and_parks_the_sync,
    a_good_token_sends_parked_work_on,
    a_token_of_another_account_is_refused_and_changes_nothing,
    a_test_of_a_token_in_force_that_is_refused_breaks_the_connection,
    a_disconnect_empties_the_credential_and_keeps_the_records,
    a_token_of_its_account_brings_a_disconnected_connection_back_with_its_cursors,
    a_test_that_a_disconnect_overtook_brings_nothing_back,
    a_connection_does_not_come_back_beside_another_of_its_provider,
);

async fn a_right_token_makes_the_connection_active(desk: Desk) {
    let result = desk.test_token(TOKEN).await.unwrap();
    let row = desk.row().await;
    assert_eq!(
        (row.status, row.health),
        (ConnectionStatus::Active, Health::Healthy)
    );
    assert_eq!(row.account_key.as_deref(), Some(DEFAULT_MERCHANT));
    assert_eq!(result["account"]["key"], DEFAULT_MERCHANT);
}

async fn a_wrong_token_leaves_the_connection_pending_and_says_what_to_do(desk: Desk) {
    let error = desk
        .test_token("not-a-token-of-square")
        .await
        .expect_err("it is wrong");
    assert_eq!(
        (error.next, error.failure.kind),
        (Next::Fail, FailureKind::Auth)
    );
    assert!(!error.failure.action.is_empty());
    assert_eq!(desk.status().await, ConnectionStatus::Pending);
}

async fn a_wrong_new_token_leaves_the_old_one_in_force(desk: Desk) {
    let desk = desk.connected().await;
    desk.test_token("not-a-token-of-square")
        .await
        .expect_err("it is wrong");
    assert_eq!(desk.status().await, ConnectionStatus::Active);
    desk.sync("customers", PullMode::Incremental)
        .await
        .expect("the old token still works");
}

async fn the_token_stands_nowhere_in_clear(desk: Desk) {
    use sea_orm::EntityTrait;
    let desk = desk.connected().await;
    let credential = desk
        .ctx
        .store
        .current_credential(desk.ctx.store.db(), desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    let jobs = patchbay_core::entities::job::Entity::find()
        .all(desk.ctx.store.db())
        .await
        .unwrap();
    let stored = format!("{credential:?} {jobs:?} {:?}", desk.row().await);
    assert!(!stored.contains(TOKEN));
    let sealed = credential.sealed.expect("it is in force");
    assert!(
        !sealed
            .windows(TOKEN.len())
            .any(|window| window == TOKEN.as_bytes())
    );
    assert!(
        jobs.iter().all(|job| job.sealed.is_none()),
        "the sealed arguments of an ended job are emptied"
    );
}

async fn a_refused_token_breaks_the_connection_and_parks_the_sync(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::everywhere(Effect::ExpiredToken))
        .unwrap();
    let run = desk
        .claim(desk.sync_job("catalog", PullMode::Incremental))
        .await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    assert_eq!(desk.state(run.job.id).await, JobState::Parked);
    let row = desk.row().await;
    assert_eq!(
        (row.status, row.health),
        (ConnectionStatus::Error, Health::Failing)
    );
    assert_eq!(row.last_error.unwrap()["kind"], "auth");
}

async fn a_good_token_sends_parked_work_on(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::everywhere(Effect::RevokedToken))
        .unwrap();
    let run = desk
        .claim(desk.sync_job("customers", PullMode::Incremental))
        .await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    desk.sandbox.faults.clear();
    desk.sandbox
        .square
        .set_token(Token::new("second-token-of-the-merchant", DEFAULT_MERCHANT))
        .unwrap();

    desk.test_token("second-token-of-the-merchant")
        .await
        .unwrap();
    assert_eq!(desk.state(run.job.id).await, JobState::Queued);
    let again = desk.claim_again(run.job.id).await;
    jobs::run(&again, &desk.ctx)
        .await
        .expect("the second token works");
    assert_eq!(desk.status().await, ConnectionStatus::Active);
}

async fn disconnect(desk: &Desk) {
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let row = store
        .lock_connection(&tx, desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    store.disconnect(&tx, &row, "test").await.unwrap();
    tx.commit().await.unwrap();
}

async fn cursor(desk: &Desk, stream: &str) -> Option<Value> {
    let states = desk.ctx.store.stream_states(desk.org, desk.connection);
    let states = states.await.unwrap();
    let state = states.into_iter().find(|state| state.stream == stream);
    state?.cursor
}

async fn a_disconnect_empties_the_credential_and_keeps_the_records(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("customers", PullMode::Incremental).await.unwrap();
    let before = desk.living("customers").await;
    disconnect(&desk).await;
    let history = desk
        .ctx
        .store
        .credential_history(desk.org, desk.connection)
        .await
        .unwrap();
    assert!(
        history
            .iter()
            .all(|credential| credential.sealed.is_none() && credential.revoked_at.is_some())
    );
    assert_eq!(desk.status().await, ConnectionStatus::Disconnected);
    assert_eq!(desk.living("customers").await, before);
}

async fn a_token_of_its_account_brings_a_disconnected_connection_back_with_its_cursors(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("customers", PullMode::Incremental).await.unwrap();
    let (records, place) = (
        desk.living("customers").await,
        cursor(&desk, "customers").await,
    );
    assert!(place.is_some(), "a complete sync leaves a cursor");
    disconnect(&desk).await;
    desk.revive_with(NEIGHBOURS_TOKEN)
        .await
        .expect_err("it opens another account");
    desk.revive_with("not-a-token-of-square")
        .await
        .expect_err("it opens nothing");
    assert_eq!(desk.status().await, ConnectionStatus::Disconnected);
    desk.revive_with(TOKEN).await.unwrap();
    let row = desk.row().await;
    assert_eq!(row.status, ConnectionStatus::Active);
    assert!(row.disconnected_at.is_none());
    assert_eq!(desk.living("customers").await, records);
    assert_eq!(cursor(&desk, "customers").await, place);
    desk.sync("customers", PullMode::Incremental).await.unwrap();
}

async fn a_test_that_a_disconnect_overtook_brings_nothing_back(desk: Desk) {
    let desk = desk.connected().await;
    disconnect(&desk).await;
    desk.test_token(TOKEN)
        .await
        .expect_err("it was asked of a living connection");
    let before = desk.row().await.disconnected_at;
    desk.revive_with(TOKEN).await.unwrap();
    disconnect(&desk).await;
    desk.try_token(TOKEN, before)
        .await
        .expect_err("it was asked before the connection was disconnected again");
    assert_eq!(desk.status().await, ConnectionStatus::Disconnected);
}

async fn a_connection_does_not_come_back_beside_another_of_its_provider(desk: Desk) {
    let desk = desk.connected().await;
    disconnect(&desk).await;
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let another = NewConnection {
        org: desk.org,
        provider: "square".into(),
        name: "Second till".into(),
        config: json!({}),
        exclusive: true,
        created_by: "system".into(),
    };
    let made = store.insert_connection(&tx, another).await.unwrap();
    assert!(matches!(made, Inserted::New(_)));
    tx.commit().await.unwrap();
    let refused = desk
        .revive_with(TOKEN)
        .await
        .expect_err("the provider allows one");
    assert_eq!(
        (refused.next, refused.failure.kind),
        (Next::Fail, FailureKind::Conflict)
    );
    assert_eq!(desk.status().await, ConnectionStatus::Disconnected);
}

async fn a_token_of_another_account_is_refused_and_changes_nothing(desk: Desk) {
    let desk = desk.connected().await;
    let error = desk
        .test_token(NEIGHBOURS_TOKEN)
        .await
        .expect_err("records of two accounts are never mixed");
    assert_eq!(
        (error.next, error.failure.kind),
        (Next::Fail, FailureKind::Invalid)
    );
    let row = desk.row().await;
    assert_eq!(row.account_key.as_deref(), Some(DEFAULT_MERCHANT));
    assert_eq!(row.status, ConnectionStatus::Active);
    desk.sync("customers", PullMode::Incremental)
        .await
        .expect("the old token is still in force");
}

async fn a_test_of_a_token_in_force_that_is_refused_breaks_the_connection(desk: Desk) {
    let desk = desk.connected().await;
    desk.test_again().await.expect("it works");
    desk.sandbox
        .faults
        .add(Fault::everywhere(Effect::RevokedToken))
        .unwrap();
    let error = desk.test_again().await.expect_err("it was revoked");
    assert_eq!(error.next, Next::Fail);
    assert_eq!(desk.status().await, ConnectionStatus::Error);
}
