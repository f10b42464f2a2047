//! The dead-letter queue: groups that failed alike, moves of many, and a policy that wants none.

use std::time::Duration;

use patchbay_core::{
    failure::{Failure, FailureKind},
    ids::{ConnectionId, JobId, OrgId},
    job::{JobKind, JobState, NewJob, SealedArgs, Settle},
    retry::{RetryPolicy, Scope},
};

use crate::{
    on_both,
    stage::{Stage, fail, noop, of_connection, with_key},
};

on_both! {
    a_group_is_kind_provider_and_failure,
    a_quarantined_job_is_in_a_group_too,
    a_thousand_go_back_at_their_rate_and_keep_their_order,
    of_many_for_the_same_work_the_newest_goes,
    a_persons_retry_leaves_the_group,
    without_dead_letters_a_job_that_gives_up_is_discarded_with_its_secret,
    a_question_that_a_person_asked_is_no_dead_letter,
    a_policy_that_was_set_is_read,
}

async fn die(stage: &Stage, job: NewJob, message: &str) -> JobId {
    let me = stage.worker().await;
    let job = stage.add(job).await.id;
    let lease = stage.start(me, job).await;
    let failure = Failure::new(FailureKind::Timeout, message, "wait");
    stage.settle(lease, Settle::Fail { failure }).await.unwrap();
    job
}

async fn groups(stage: &Stage, org: OrgId) -> Vec<(String, i64)> {
    let dead = stage.store.dead_groups(org, 50).await.unwrap();
    let mut groups: Vec<(String, i64)> = dead
        .groups
        .into_iter()
        .map(|group| (group.dead_group, group.jobs))
        .collect();
    groups.sort();
    groups
}

async fn retry(stage: &Stage, org: OrgId, group: Option<&str>, apart: Duration) -> u64 {
    let tx = stage.store.begin().await.unwrap();
    let moved = stage
        .store
        .retry_dead(&tx, org, group, Duration::ZERO, apart);
    let (moved, _) = moved.await.unwrap();
    tx.commit().await.unwrap();
    moved
}

async fn a_group_is_kind_provider_and_failure(stage: Stage) {
    let org = stage.org().await;
    let connection: ConnectionId = stage.connection(org).await;
    die(&stage, noop(org), "no answer within 3s").await;
    die(&stage, noop(org), "no answer within 4s").await;
    let newest = die(
        &stage,
        of_connection(org, connection),
        "no answer within 5s",
    )
    .await;
    let found = groups(&stage, org).await;
    assert_eq!(found.len(), 2);
    assert!(found[0].0.starts_with("noop:-:timeout:"), "{found:?}");
    assert!(found[1].0.starts_with("noop:square:timeout:"), "{found:?}");
    assert_eq!((found[0].1, found[1].1), (2, 1));
    let dead = stage.store.dead_groups(org, 1).await.unwrap();
    assert_eq!(
        (dead.groups.len(), dead.total_groups, dead.total_jobs),
        (1, 2, 3)
    );
    assert_eq!(dead.groups[0].example.parse(), Ok(newest));
    assert!(dead.groups[0].first_at <= dead.groups[0].last_at);
}

async fn a_quarantined_job_is_in_a_group_too(stage: Stage) {
    let org = stage.org().await;
    let job = crate::alone::charged_twice(&stage, org).await;
    let me = stage.worker().await;
    stage.start_alone(me, job).await;
    stage.everyone_dies().await;
    assert_eq!(stage.state(job).await, JobState::Quarantined);
    assert_eq!(groups(&stage, org).await, [("noop:-:crash".to_owned(), 1)]);
}

async fn a_thousand_go_back_at_their_rate_and_keep_their_order(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let ids: Vec<JobId> = stage
        .enqueue(vec![noop(org); 1_000])
        .await
        .iter()
        .map(|job| job.job().id)
        .collect();
    assert_eq!(stage.claim(me, &ids).await.len(), 1_000);
    stage
        .sql(
            "update jobs set state = 'failed', leased_by = null, deadline = null,
             finished_at = created_at, dead_group = 'g' where state = 'running'",
        )
        .await
        .unwrap();
    assert_eq!(retry(&stage, org, Some("another"), Duration::ZERO).await, 0);
    assert_eq!(
        retry(&stage, org, Some("g"), Duration::from_millis(100)).await,
        1_000
    );
    let first = stage.row(ids[0]).await;
    assert_eq!(
        (first.state, first.attempt, first.finished_at),
        (JobState::Queued, 0, None)
    );
    for (place, id) in [(1, ids[1]), (500, ids[500]), (999, ids[999])] {
        let apart = stage.row(id).await.run_at - first.run_at;
        assert_eq!(apart.num_milliseconds(), place * 100);
    }
    assert_eq!(
        stage.claim(me, &[ids[0], ids[999]]).await.len(),
        1,
        "the last waits its time"
    );
    assert_eq!(groups(&stage, org).await, []);
}

async fn of_many_for_the_same_work_the_newest_goes(stage: Stage) {
    let org = stage.org().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(die(&stage, with_key(org, "catalog"), "no").await);
    }
    let preview = stage.store.preview_dead_retry(stage.store.db(), org, None);
    let preview = preview.await.unwrap();
    assert_eq!(
        (
            preview.matched,
            preview.retryable,
            preview.superseded,
            preview.already_open
        ),
        (3, 1, 2, 0)
    );
    assert_eq!(retry(&stage, org, None, Duration::ZERO).await, 1);
    assert_eq!(stage.state(ids[2]).await, JobState::Queued);
    let preview = stage.store.preview_dead_retry(stage.store.db(), org, None);
    assert_eq!(preview.await.unwrap().already_open, 2);
    assert_eq!(retry(&stage, org, None, Duration::ZERO).await, 0);
}

async fn a_persons_retry_leaves_the_group(stage: Stage) {
    let org = stage.org().await;
    let job = die(&stage, noop(org), "no").await;
    stage.retry(org, job).await;
    assert_eq!(groups(&stage, org).await, []);
    let me = stage.worker().await;
    let lease = stage.start(me, job).await;
    stage.settle(lease, fail()).await.unwrap();
    let found = groups(&stage, org).await;
    assert!(found[0].0.starts_with("noop:-:provider_down:"), "{found:?}");
}

async fn without_dead_letters_a_job_that_gives_up_is_discarded_with_its_secret(stage: Stage) {
    let (org, other) = (stage.org().await, stage.org().await);
    let policy = RetryPolicy {
        dead_letters: false,
        ..RetryPolicy::default()
    };
    set(&stage, org, policy).await;
    let sealed = Some(SealedArgs {
        bytes: vec![1],
        key_id: "k".into(),
    });
    let job = NewJob {
        sealed,
        ..noop(org)
    };
    let job = die(&stage, job, "no").await;
    let row = stage.row(job).await;
    assert_eq!((row.state, row.sealed), (JobState::Failed, None));
    assert_eq!(row.discarded_at, row.finished_at);
    assert!(row.discarded_at.is_some());
    assert_eq!(groups(&stage, org).await, []);
    let theirs = die(&stage, noop(other), "no").await;
    assert_eq!(stage.row(theirs).await.discarded_at, None);
}

async fn set(stage: &Stage, org: OrgId, policy: RetryPolicy) {
    let tx = stage.store.begin().await.unwrap();
    let done = stage
        .store
        .set_retry_policy(&tx, org, Scope::Jobs, policy, "test");
    done.await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_policy_that_was_set_is_read(stage: Stage) {
    let org = stage.org().await;
    let read = async || {
        let set = stage.store.retry_policy(stage.store.db(), org, Scope::Jobs);
        set.await.unwrap().map(|set| set.policy)
    };
    assert_eq!(read().await, None);
    for max_retries in [20, 0] {
        let policy = RetryPolicy {
            max_retries,
            base: Duration::from_millis(1_500),
            jitter: false,
            ..RetryPolicy::default()
        };
        set(&stage, org, policy).await;
        assert_eq!(read().await, Some(policy));
    }
}

async fn a_question_that_a_person_asked_is_no_dead_letter(stage: Stage) {
    let org = stage.org().await;
    let usual = noop(org).max_attempts;
    let asked = [
        (JobKind::ConnectionTest, 2, true),
        (JobKind::ConsentExchange, 1, true),
        // Test messages.
        (JobKind::AlertDelivery, 1, true),
        (JobKind::Action, 1, true),
        // Work.
        (JobKind::AlertDelivery, usual, false),
        (JobKind::Action, usual, false),
        (JobKind::HealthCheck, 1, false),
        (JobKind::CredentialRevoke, usual, false),
    ];
    for (kind, max_attempts, answered) in asked {
        let job = NewJob {
            kind,
            max_attempts,
            ..noop(org)
        };
        let row = stage.row(die(&stage, job, "no").await).await;
        assert_eq!(row.state, JobState::Failed, "{kind:?}");
        assert_eq!(
            row.discarded_at.is_some(),
            answered,
            "{kind:?} {max_attempts}"
        );
    }
    assert_eq!(groups(&stage, org).await.len(), 4);
}
