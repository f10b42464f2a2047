//! The end of a grant: by the provider, by us, and a new beginning.

use patchbay_core::{
    connection::ConnectionStatus,
    events::EventKind,
    ids::CredentialId,
    job::{JobKind, JobState, Queue},
    store::{
        connections::{Inserted, NewConnection, TestedAccount},
        credentials::{GrantFacts, NewCredential, TokenStatus},
    },
};
use patchbay_providers::PullMode;
use patchbay_sandbox::{
    faults::{Effect, Fault},
    oauth::Kind,
    square::{DEFAULT_MERCHANT, oauth::CLIENT_ID},
};
use patchbay_worker::{JobRun, jobs, refresh::RefreshError};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::{
    desk::{consented, counted, credential, grant, only, renew, until_asked},
    on_both_databases,
};
use crate::sync::desk::Desk;

on_both_databases!(
    a_grant_taken_back_at_the_provider_expires_the_connection_and_parks_its_work,
    a_late_refusal_of_an_old_grant_parks_nothing,
    a_disconnect_revokes_the_grant_at_the_provider,
    a_grant_of_an_account_that_is_connected_again_is_not_revoked,
    another_orgs_grant_to_the_same_client_keeps_it_from_being_revoked,
    another_orgs_grant_to_another_client_does_not,
    what_came_after_a_disconnect_is_ended_at_the_provider,
    what_was_withdrawn_leaves_a_tombstone_and_parks_its_work,
);

async fn events(desk: &Desk, kind: EventKind) -> Vec<serde_json::Value> {
    use patchbay_core::entities::event;
    event::Entity::find()
        .filter(event::Column::OrgId.eq(desk.org))
        .filter(event::Column::Kind.eq(kind))
        .all(desk.ctx.store.db())
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.data)
        .collect()
}

async fn a_grant_taken_back_at_the_provider_expires_the_connection_and_parks_its_work(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    desk.sandbox.square.oauth.take_back(None);
    let run = desk.claim(desk.sync_job("catalog", PullMode::Full)).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    assert_eq!(desk.state(run.job.id).await, JobState::Parked);
    assert_eq!(desk.status().await, ConnectionStatus::Expired);
    assert_eq!(counted(&desk.ctx, "refused"), 1);
    let now = desk.ctx.clock.now();
    let refused = credential(&desk).await;
    assert_eq!(TokenStatus::of(&refused, now), TokenStatus::Expired);
    let told = events(&desk, EventKind::ConnectionCredentialRefused).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let action = told[0]["failure"]["action"].as_str().unwrap();
    assert!(action.to_lowercase().contains("connect"), "{action}");

    // A new consent, and the work goes on.
    grant(&desk).await;
    let tx = desk.ctx.store.begin().await.unwrap();
    let due = desk
        .ctx
        .store
        .jobs()
        .unpark(&tx, desk.connection)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due.len(), 1);
    let run = desk.claim_again(run.job.id).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    assert_eq!(desk.state(run.job.id).await, JobState::Succeeded);
}

async fn a_late_refusal_of_an_old_grant_parks_nothing(desk: Desk) {
    let desk = consented(desk, 30).await;
    let old = credential(&desk).await;
    let waiting = desk.sync_job("catalog", PullMode::Full);
    let tx = desk.ctx.store.begin().await.unwrap();
    let waiting = desk
        .ctx
        .store
        .jobs()
        .enqueue(&tx, vec![waiting])
        .await
        .unwrap();
    // What the old row held is refused from now on; a new consent has taken its place.
    tx.commit().await.unwrap();
    grant(&desk).await;
    let outcome = renew(&desk, &desk.ctx, &old).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let tx = desk.ctx.store.begin().await.unwrap();
    let refused = desk.ctx.store.refuse_grant(&tx, old.id, old.version).await;
    assert!(!refused.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(desk.status().await, ConnectionStatus::Active);
    assert_eq!(desk.state(waiting[0].job().id).await, JobState::Queued);
}

/// Claims the one job of a revocation and runs it.
async fn run_revocation(desk: &Desk) -> serde_json::Value {
    use patchbay_core::entities::job;
    let found = job::Entity::find()
        .filter(job::Column::Kind.eq(JobKind::CredentialRevoke))
        .one(desk.ctx.store.db())
        .await
        .unwrap()
        .expect("a disconnect enqueues a revocation");
    assert_eq!(found.queue, Queue::Maintenance);
    let claimed = desk.claim_of(Queue::Maintenance, found.id).await;
    let run: JobRun = claimed;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    let ended = desk.job(run.job.id).await;
    assert_eq!(ended.state, JobState::Succeeded);
    assert!(ended.sealed.is_none(), "the secret is gone with the job");
    outcome.unwrap()
}

async fn disconnect(desk: &Desk) {
    let tx = desk.ctx.store.begin().await.unwrap();
    let row = desk
        .ctx
        .store
        .lock_connection(&tx, desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    desk.ctx.store.disconnect(&tx, &row, "test").await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_disconnect_revokes_the_grant_at_the_provider(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    assert!(desk.sandbox.square.oauth.grants()[0].ended.is_none());
    disconnect(&desk).await;
    assert_eq!(run_revocation(&desk).await["revoked"], json!(true));
    assert!(desk.sandbox.square.oauth.grants()[0].ended.is_some());
    let history = desk.ctx.store.credential_history(desk.org, desk.connection);
    let history = history.await.unwrap();
    assert_eq!(history.len(), 1, "who and when stay");
    assert!(history[0].sealed.is_none() && history[0].revoked_by.is_some());
}

async fn a_grant_of_an_account_that_is_connected_again_is_not_revoked(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    disconnect(&desk).await;
    grant(&desk).await;
    assert_eq!(desk.status().await, ConnectionStatus::Active);
    assert_eq!(run_revocation(&desk).await["revoked"], json!(false));
    assert!(
        desk.sandbox
            .square
            .oauth
            .grants()
            .iter()
            .all(|grant| grant.ended.is_none())
    );
}

/// Another org has connected the same account, by a grant to this client.
async fn neighbour(desk: &Desk, client: &str) {
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let org = store.create_org(&tx, "Next door", "test").await.unwrap().id;
    let new = NewConnection {
        org,
        provider: "square".into(),
        name: "Till".into(),
        config: json!({}),
        exclusive: true,
        created_by: "test".into(),
    };
    let Inserted::New(row) = store.insert_connection(&tx, new).await.unwrap() else {
        panic!("the first of its org");
    };
    let new = NewCredential {
        id: CredentialId::new(store.clock()),
        sealed: b"nobody opens it here".to_vec(),
        mask: json!({}),
        expires_at: None,
        created_by: "test".into(),
        grant: Some(GrantFacts {
            client_id: client.into(),
            scopes: None,
            refreshable: true,
            refresh_expires_at: None,
            refresh_due_at: None,
        }),
    };
    store
        .replace_credential(&tx, org, row.id, new)
        .await
        .unwrap();
    let account = TestedAccount {
        key: DEFAULT_MERCHANT.into(),
        name: "Merchant".into(),
    };
    store
        .activate_connection(&tx, &row, json!({}), &account, "test")
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn another_orgs_grant_to_the_same_client_keeps_it_from_being_revoked(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    neighbour(&desk, CLIENT_ID).await;
    disconnect(&desk).await;
    assert_eq!(run_revocation(&desk).await["revoked"], json!(false));
    assert!(desk.sandbox.square.oauth.grants()[0].ended.is_none());
}

async fn another_orgs_grant_to_another_client_does_not(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    neighbour(&desk, "sq0idp-its-own-app").await;
    disconnect(&desk).await;
    assert_eq!(run_revocation(&desk).await["revoked"], json!(true));
    assert!(desk.sandbox.square.oauth.grants()[0].ended.is_some());
}

/// The revocation's job is not run here: what it holds is the token before.
async fn what_came_after_a_disconnect_is_ended_at_the_provider(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let slow = Effect::LateAnswer { ms: 2_000 };
    only(&desk, Fault::at("POST /square/oauth2/token", slow));
    let meanwhile = async {
        until_asked(&desk).await;
        disconnect(&desk).await;
    };
    let (outcome, ()) = tokio::join!(renew(&desk, &desk.ctx, &seen), meanwhile);
    assert_eq!(outcome, Err(RefreshError::Gone));
    let counts = ["renewed", "uncommitted"].map(|name| counted(&desk.ctx, name));
    assert_eq!(counts, [0, 1]);
    assert!(desk.sandbox.square.oauth.grants()[0].ended.is_some());
}

async fn what_was_withdrawn_leaves_a_tombstone_and_parks_its_work(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    let store = &desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let waiting = store
        .jobs()
        .enqueue(&tx, vec![desk.sync_job("catalog", PullMode::Full)]);
    let waiting = waiting.await.unwrap()[0].job().id;
    tx.commit().await.unwrap();
    let tx = store.begin().await.unwrap();
    let row = store
        .lock_connection(&tx, desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    let (revocation, parked) = store
        .withdraw_credential(&tx, &row, true, "test")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(revocation.is_some());
    assert_eq!(parked, [waiting]);
    assert_eq!(desk.status().await, ConnectionStatus::Expired);
    let newest = store
        .newest_credential(desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        TokenStatus::of(&newest, desk.ctx.clock.now()),
        TokenStatus::Revoked
    );
    let row = desk.row().await;
    let outcome = desk
        .ctx
        .refresher
        .renew(&desk.ctx, &row, newest.id, newest.version)
        .await;
    assert!(matches!(outcome, Err(RefreshError::Gone)), "{outcome:?}");
    assert_eq!(counted(&desk.ctx, "renewed"), 0);
    desk.sandbox.square.oauth.expire(None, Kind::default());
}
