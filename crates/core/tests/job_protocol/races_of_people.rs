//! People's wishes beside what workers and the API do at the same moment, on PostgreSQL.

use patchbay_core::{
    job::{JobState, Settlement},
    store::jobs::Moved,
};

use crate::{
    races::until_one_waits,
    stage::{Stage, fail, of_connection, succeed, with_key},
};

#[tokio::test]
async fn a_retry_beside_a_request_of_its_key_is_refused() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let dead = stage.add(with_key(org, "k")).await.id;
    let lease = stage.start(me, dead).await;
    stage.settle(lease, fail()).await.unwrap();
    let request = stage.store.begin().await.unwrap();
    stage
        .jobs()
        .enqueue(&request, vec![with_key(org, "k")])
        .await
        .unwrap();
    let wish = stage.store.begin().await.unwrap();
    let commit = async {
        until_one_waits(&stage).await;
        request.commit().await.unwrap();
    };
    let (moved, ()) = tokio::join!(stage.jobs().retry(&wish, org, dead), commit);
    assert!(
        matches!(moved.unwrap(), Moved::Refused(row) if row.state == JobState::Failed),
        "the request's job does the work"
    );
    wish.rollback().await.unwrap();
    assert_eq!(stage.state(dead).await, JobState::Failed);
}

#[tokio::test]
async fn a_disconnect_cancels_also_the_successor_of_a_job_that_ends_beside_it() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let wanted = patchbay_core::job::NewJob {
        dedupe_key: Some(format!("{org}:k")),
        ..of_connection(org, connection)
    };
    let job = stage.add(wanted.clone()).await.id;
    let lease = stage.start(me, job).await;
    stage.enqueue(vec![wanted]).await;
    assert!(stage.row(job).await.again);

    let end = stage.store.begin().await.unwrap();
    let settlement = Settlement {
        lease,
        end: succeed(),
    };
    let settled = stage.jobs().settle_in(&end, &settlement).await.unwrap();
    let successor = settled.unwrap().successor.unwrap();

    let wish = stage.store.begin().await.unwrap();
    let row = stage
        .store
        .lock_connection(&wish, org, connection)
        .await
        .unwrap()
        .unwrap();
    let commit = async {
        until_one_waits(&stage).await;
        end.commit().await.unwrap();
    };
    let (disconnected, ()) = tokio::join!(stage.store.disconnect(&wish, &row, "test"), commit);
    wish.commit().await.unwrap();
    assert_eq!(disconnected.unwrap().cancelled, [successor]);
    assert_eq!(stage.state(job).await, JobState::Succeeded);
    assert_eq!(stage.state(successor).await, JobState::Cancelled);
}
