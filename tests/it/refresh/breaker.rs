//! A token endpoint that does not answer is left alone, and no consent ends by it.

use std::time::Duration;

use chrono::TimeDelta;
use patchbay_core::{
    breaker::{Breaker, FAILURES},
    connection::ConnectionStatus,
    entities::{credential, health_check, job},
    job::{JobError, JobKind, JobState, Next, Queue},
    outbound::Limits,
};
use patchbay_providers::{
    PullMode,
    oauth::{self, TokenCall, TokenError},
};
use patchbay_sandbox::faults::{Effect, Fault};
use patchbay_worker::{JobRun, jobs, refresh::RefreshError};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use super::{
    desk::{client, consented, credential, only, renew},
    on_both_databases,
};
use crate::{guarded::guarded, sync::desk::Desk};

on_both_databases!(
    a_token_endpoint_that_fails_is_with_breakers_and_the_grant_lives_on,
    work_that_waits_for_a_token_waits_for_the_host_and_burns_no_attempt,
    a_check_that_waits_for_a_token_says_nothing_of_the_connection,
    a_refused_grant_is_no_fault_of_the_host,
    a_code_is_exchanged_though_the_host_is_with_breakers,
    a_revocation_waits_for_its_host,
);

const TOKEN: &str = "POST /square/oauth2/token";

fn with_breakers(mut desk: Desk) -> Desk {
    desk.ctx.outbound = guarded(&desk.ctx.store);
    desk
}

async fn only_breaker(desk: &Desk) -> Option<Breaker> {
    let (rows, _) = desk.ctx.store.breakers().await.unwrap();
    rows.into_iter().next().map(|(_, row)| row)
}

/// Refreshes fail until the endpoint is left alone.
async fn open(desk: &Desk) {
    only(desk, Fault::at(TOKEN, Effect::ServerError { status: 503 }));
    let seen = credential(desk).await;
    for _ in 0..FAILURES {
        let outcome = renew(desk, &desk.ctx, &seen).await;
        assert!(
            matches!(outcome, Err(RefreshError::Later { .. })),
            "{outcome:?}"
        );
    }
    assert!(only_breaker(desk).await.unwrap().opened_at.is_some());
}

/// The pause is over, as if ten seconds had passed.
async fn end_the_pause(desk: &Desk) {
    let change = |row: &mut Breaker, now| {
        row.probe_at = Some(now - TimeDelta::seconds(1));
        true
    };
    let store = &desk.ctx.store;
    let (rows, _) = store.breakers().await.unwrap();
    let (provider, origin) = &rows[0].0;
    store
        .change_breaker(provider, origin, change)
        .await
        .unwrap();
}

fn asked(desk: &Desk) -> u64 {
    desk.sandbox.requests.count(TOKEN)
}

async fn a_token_endpoint_that_fails_is_with_breakers_and_the_grant_lives_on(desk: Desk) {
    let desk = with_breakers(consented(desk, 30).await);
    let seen = credential(&desk).await;
    open(&desk).await;
    let before = asked(&desk);
    let failures = credential(&desk).await.refresh_failures;
    let held = renew(&desk, &desk.ctx, &seen).await;
    let Err(RefreshError::Held(JobError { next, failure })) = held else {
        panic!("{held:?}");
    };
    assert!(matches!(next, Next::Snooze { .. }), "{next:?}");
    assert!(
        failure.message.contains("Square does not answer since"),
        "{}",
        failure.message
    );
    assert_eq!(asked(&desk), before, "nothing is sent");
    let row = credential(&desk).await;
    assert_eq!((row.version, row.refused_at), (seen.version, None));
    assert_eq!(row.refresh_by, None, "the turn is given back");
    assert_eq!(row.refresh_failures, failures, "nothing was asked");
    assert!(row.refresh_due_at.is_some(), "and comes again");
    assert_eq!(desk.status().await, ConnectionStatus::Active);

    desk.sandbox.faults.clear();
    end_the_pause(&desk).await;
    for _ in 0..200 {
        if let Ok(version) = renew(&desk, &desk.ctx, &seen).await {
            assert_eq!(version, seen.version + 1);
            assert_eq!(only_breaker(&desk).await, None);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the endpoint is left alone for ever");
}

async fn work_that_waits_for_a_token_waits_for_the_host_and_burns_no_attempt(desk: Desk) {
    let desk = with_breakers(consented(desk, 30).await);
    open(&desk).await;
    end_the_token(&desk).await;
    let run = desk.claim(desk.sync_job("catalog", PullMode::Full)).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    let error = outcome.as_ref().expect_err("there is no token");
    assert!(matches!(error.next, Next::Snooze { .. }), "{error:?}");
    desk.settle(&run, &outcome).await;
    let row = desk.job(run.job.id).await;
    assert_eq!((row.state, row.attempt), (JobState::Queued, 0));
    assert_eq!(desk.status().await, ConnectionStatus::Active);
}

/// Nothing goes without a new one.
async fn end_the_token(desk: &Desk) {
    let ended = credential::ActiveModel {
        id: Set(credential(desk).await.id),
        expires_at: Set(Some(desk.ctx.clock.now() - TimeDelta::minutes(1))),
        ..Default::default()
    };
    ended.update(desk.ctx.store.db()).await.unwrap();
}

async fn a_check_that_waits_for_a_token_says_nothing_of_the_connection(desk: Desk) {
    let desk = with_breakers(consented(desk, 30).await);
    open(&desk).await;
    end_the_token(&desk).await;
    let mut check = desk.new_job(JobKind::HealthCheck);
    check.args = json!({ "reason": "auto" });
    let run = desk.claim(check).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    let error = outcome.expect_err("nothing was asked");
    assert!(matches!(error.next, Next::Snooze { .. }), "{error:?}");
    let checked = health_check::Entity::find().all(desk.ctx.store.db()).await;
    assert_eq!(checked.unwrap(), [], "it was not looked at");
}

async fn a_refused_grant_is_no_fault_of_the_host(desk: Desk) {
    let desk = with_breakers(consented(desk, 30).await);
    let provider = desk.ctx.providers.get("square").unwrap();
    let place = desk.ctx.providers.oauth(&**provider, &json!({})).unwrap();
    let call = TokenCall {
        outbound: &desk.ctx.outbound,
        place: &place,
        client: &client(),
        clock: &*desk.ctx.clock,
        trace_context: None,
        limits: Limits::default(),
        exempt: false,
    };
    let unknown = patchbay_core::secret::Secret::new("a token that was never granted");
    for _ in 0..2 * FAILURES {
        let refused = oauth::refresh(&call, &unknown).await.unwrap_err();
        assert!(matches!(refused, TokenError::Refused(_)), "{refused:?}");
    }
    assert_eq!(only_breaker(&desk).await, None);
}

async fn a_code_is_exchanged_though_the_host_is_with_breakers(desk: Desk) {
    let desk = with_breakers(consented(desk, 30).await);
    open(&desk).await;
    desk.sandbox.faults.clear();
    let provider = desk.ctx.providers.get("square").unwrap();
    let place = desk.ctx.providers.oauth(&**provider, &json!({})).unwrap();
    let unknown = patchbay_core::secret::Secret::new("a code that was never given");
    let before = asked(&desk);
    for (exempt, sent) in [(false, 0), (true, 1)] {
        let call = TokenCall {
            outbound: &desk.ctx.outbound,
            place: &place,
            client: &client(),
            clock: &*desk.ctx.clock,
            trace_context: None,
            limits: Limits::default(),
            exempt,
        };
        let redirect = "http://127.0.0.1/callback".parse().unwrap();
        let outcome = oauth::exchange(&call, &unknown, &redirect, None).await;
        let error = outcome.expect_err("no such code");
        assert_eq!(error.error().paused, !exempt, "{error:?}");
        assert_eq!(asked(&desk), before + sent);
    }
    assert_eq!(only_breaker(&desk).await, None, "it answered");
}

async fn a_revocation_waits_for_its_host(desk: Desk) {
    let desk = with_breakers(consented(desk, 3_600).await);
    open(&desk).await;
    let tx = desk.ctx.store.begin().await.unwrap();
    let row = (desk.ctx.store)
        .lock_connection(&tx, desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    desk.ctx.store.disconnect(&tx, &row, "test").await.unwrap();
    tx.commit().await.unwrap();
    let found = job::Entity::find()
        .filter(job::Column::Kind.eq(JobKind::CredentialRevoke))
        .one(desk.ctx.store.db())
        .await
        .unwrap()
        .unwrap();
    let run: JobRun = desk.claim_of(Queue::Maintenance, found.id).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    let error = outcome.as_ref().expect_err("the host is left alone");
    assert!(matches!(error.next, Next::Snooze { .. }), "{error:?}");
    desk.settle(&run, &outcome).await;
    let waiting = desk.job(found.id).await;
    assert_eq!((waiting.state, waiting.attempt), (JobState::Queued, 0));
    assert!(waiting.sealed.is_some(), "it still has what it revokes");
}
