//! People's wishes beside what workers and the API do at the same moment, on PostgreSQL.

use patchbay_core::{
    job::JobState,
    store::jobs::Moved,
};

use crate::{
    races::until_one_waits,
    stage::{Stage, fail, with_key},
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
