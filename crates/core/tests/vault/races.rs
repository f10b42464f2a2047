//! Writers beside a rotation, on PostgreSQL, where they do not take turns.

use std::time::Duration;

use patchbay_core::{ids::CredentialId, store::credentials::NewCredential};
use serde_json::json;

use crate::stage::{Kept, Stage, fields};

/// What is closed under a key that is retired before it is committed stays openable: the
/// key is not deleted under the writer, and the next round moves the value.
#[tokio::test]
async fn a_key_is_not_deleted_under_a_writer_that_closes_with_it() {
    let stage = Stage::postgres().await;
    let kept = stage.credentials(1, 2).await[0];
    let id = CredentialId::new(stage.store.clock());
    let tx = stage.store.begin().await.unwrap();
    let sealed = stage
        .vault
        .close_credential(
            &stage.store,
            &tx,
            kept.org,
            kept.connection,
            id,
            &fields(id),
        )
        .await
        .unwrap();
    let rotation = stage.reencrypt();
    tokio::pin!(rotation);
    // It cannot end: deleting the old key waits for the writer.
    let early = tokio::time::timeout(Duration::from_millis(400), &mut rotation).await;
    assert!(early.is_err(), "{early:?}");
    let new = NewCredential {
        id,
        sealed,
        mask: json!({}),
        expires_at: None,
        created_by: "test".into(),
        grant: None,
    };
    stage
        .store
        .replace_credential(&tx, kept.org, kept.connection, new)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let ended = rotation.await;
    assert_eq!((ended.keys_left, ended.trouble.count), (0, 0));
    stage.assert_opens(Kept { id, ..kept }).await;
    assert_eq!(stage.org_keys().await.len(), 1);
}

/// A row that somebody else writes is passed over, not waited for, and met again.
#[tokio::test]
async fn a_row_that_is_held_does_not_hold_up_the_pass() {
    let stage = Stage::postgres().await;
    let kept = stage.credentials(1, 3).await[0];
    let tx = stage.store.begin().await.unwrap();
    stage
        .store
        .revoke_credential(&tx, kept.org, kept.connection, "test")
        .await
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), stage.reencrypt()).await;
    let ended = ended.expect("it does not wait");
    assert_eq!((ended.done, ended.keys_left), (2, 1));
    tx.rollback().await.unwrap();
    let ended = stage.reencrypt().await;
    assert_eq!((ended.resumed, ended.done, ended.keys_left), (true, 3, 0));
    stage.assert_opens(kept).await;
}

#[tokio::test]
async fn two_first_credentials_of_an_org_share_one_key() {
    let stage = Stage::postgres().await;
    let org = stage.org("Bakery").await;
    let mut connections = Vec::new();
    for at in 0..6 {
        connections.push(stage.connection(org, &at.to_string()).await);
    }
    let first = connections
        .iter()
        .map(|connection| stage.credential(org, *connection));
    let all = futures::future::join_all(first).await;
    assert_eq!(stage.org_keys().await.len(), 1);
    for kept in all {
        stage.assert_opens(kept).await;
    }
}
