//! An org's secrets end with its data keys; everything else of it stays.

use chrono::TimeDelta;
use patchbay_core::{
    connection::ConnectionStatus,
    entities::{connection, event, job},
    events::EventKind,
    ids::JobId,
    job::{JobKind, JobState, NewJob, Queue},
    secret::SecretFields,
    store::keys::Forgotten,
    vault::VaultError,
};
use sea_orm::EntityTrait;

use crate::{
    on_both,
    stage::{Stage, fields},
};

on_both!(
    nothing_of_the_org_opens_any_more_and_its_connections_say_why,
    a_process_forgets_a_key_within_a_minute,
    an_org_that_was_forgotten_begins_anew,
);

fn status(_: &str) -> ConnectionStatus {
    ConnectionStatus::Expired
}

async fn nothing_of_the_org_opens_any_more_and_its_connections_say_why(stage: Stage) {
    let all = stage.credentials(2, 2).await;
    let (gone, stays) = (all[0], all[2]);
    stage
        .run(
            "update connections set status = 'active' where id = $1",
            [gone.connection.into()],
        )
        .await;
    let id = JobId::new(stage.store.clock());
    let mut carrying = NewJob::new(Some(gone.org), JobKind::Noop, Queue::Sync, "test");
    carrying.id = Some(id);
    let public = stage.vault.keyring().sealing_public().clone();
    carrying.sealed = Some(public.seal(gone.org, id, &SecretFields::default()));
    let mut waiting = NewJob::new(Some(gone.org), JobKind::Noop, Queue::Sync, "test");
    waiting.connection = Some(gone.connection);
    let tx = stage.store.begin().await.unwrap();
    let jobs = stage
        .store
        .jobs()
        .enqueue(&tx, vec![carrying, waiting])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let blob = stage.sealed(gone).await;
    stage.client(gone.org).await;
    stage.client(stays.org).await;

    let forgotten = stage
        .store
        .forget_secrets(gone.org, "operator", status)
        .await
        .unwrap();
    let expected = Forgotten {
        keys: 1,
        credentials: 2,
        connections: 2,
        jobs: 1,
        webhook_secrets: 0,
        client_secrets: 1,
    };
    assert_eq!(forgotten, expected);

    // Not even who has kept the blob can open it.
    let vault = stage.fresh_vault().await;
    let opened = stage.open_as(&vault, gone, &blob).await;
    assert!(matches!(opened, Err(VaultError::Unopenable)), "{opened:?}");
    let row = stage.row(gone).await;
    assert!(row.sealed.is_none() && row.revoked_by.as_deref() == Some("operator"));
    let db = stage.store.db();
    // Its mask stays: without it, the client would look like a public one.
    for (org, is_kept) in [(gone.org, false), (stays.org, true)] {
        let client = stage.store.oauth_client(db, org, "square").await;
        let client = client.unwrap().unwrap();
        assert_eq!(
            (client.secret.is_some(), client.mask.is_some()),
            (is_kept, true)
        );
    }
    let connection = connection::Entity::find_by_id(gone.connection);
    let connection = connection.one(db).await.unwrap().unwrap();
    assert_eq!(connection.status, ConnectionStatus::Expired);
    let words = connection.last_error.unwrap().to_string();
    assert!(words.contains("deleted for good"), "{words}");
    let job_of = async |at: usize| {
        let found = job::Entity::find_by_id(jobs[at].job().id);
        found.one(db).await.unwrap().unwrap()
    };
    let carrying = job_of(0).await;
    assert_eq!(
        (carrying.state, carrying.sealed),
        (JobState::Cancelled, None)
    );
    assert_eq!(job_of(1).await.state, JobState::Parked);
    let events = event::Entity::find().all(db).await.unwrap();
    let told = |event: &&event::Model| event.kind == EventKind::OrgSecretsForgotten;
    assert_eq!(events.iter().filter(told).count(), 1);
    stage.assert_opens(stays).await;
}

async fn a_process_forgets_a_key_within_a_minute(stage: Stage) {
    let kept = stage.credentials(1, 1).await[0];
    let blob = stage.sealed(kept).await;
    stage.open_as(&stage.vault, kept, &blob).await.unwrap();
    stage
        .store
        .forget_secrets(kept.org, "operator", status)
        .await
        .unwrap();
    stage.clock.advance(TimeDelta::seconds(59));
    let opened = stage.open_as(&stage.vault, kept, &blob).await.unwrap();
    assert_eq!(opened, fields(kept.id), "still in memory");
    stage.clock.advance(TimeDelta::seconds(2));
    let opened = stage.open_as(&stage.vault, kept, &blob).await;
    assert!(matches!(opened, Err(VaultError::Unopenable)), "{opened:?}");
}

async fn an_org_that_was_forgotten_begins_anew(stage: Stage) {
    let kept = stage.credentials(1, 1).await[0];
    let old = stage.org_keys().await[0].id;
    for _ in 0..2 {
        stage
            .store
            .forget_secrets(kept.org, "operator", status)
            .await
            .unwrap();
    }
    let again = stage.credential(kept.org, kept.connection).await;
    stage.assert_opens(again).await;
    let keys = stage.org_keys().await;
    assert_eq!(keys.len(), 1);
    assert_ne!(keys[0].id, old);
}
