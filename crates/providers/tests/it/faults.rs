//! What is waited out within a call, and what is given back to the job protocol.

use std::time::Duration;

use patchbay_core::{
    clock::{Clock, SystemClock},
    failure::FailureKind,
    job::Next,
};
use patchbay_providers::PullMode;
use patchbay_sandbox::{Effect, Fault};

use crate::stand_in::StandIn;

#[tokio::test]
async fn short_trouble_is_waited_out() {
    for effect in [
        Effect::RateLimited { retry_after: None },
        Effect::RateLimited {
            retry_after: Some(0),
        },
        Effect::ServerError { status: 503 },
        Effect::DropConnection { after_bytes: 100 },
    ] {
        let at = StandIn::small().await;
        let name = effect.name();
        at.sandbox
            .faults
            .add(Fault::at("*/list", effect).after(1).times(2))
            .expect("a fault");
        let run = at.full("catalog").await;
        assert_eq!(run.of_kind("item").len(), at.summary().items, "{name}");
        assert_eq!(
            at.sandbox.faults.list()[0].struck,
            2,
            "{name} did not strike"
        );
    }
}

#[tokio::test]
async fn a_burst_of_refusals_ends_in_a_snooze_without_hammering() {
    let at = StandIn::small().await;
    at.sandbox
        .faults
        .add(Fault::everywhere(Effect::RateLimited { retry_after: None }))
        .expect("a fault");
    let error = at
        .run("sales", PullMode::Full, None)
        .await
        .expect_err("refused");
    assert_eq!(error.kind, FailureKind::RateLimited);
    assert_eq!(error.code.as_deref(), Some("RATE_LIMITED"));
    assert_eq!(
        at.sandbox.faults.list()[0].struck,
        6,
        "one call and five repeats"
    );
    let now = SystemClock.now();
    let next = error.into_job_error(now, Some(1)).next;
    assert_eq!(
        next,
        Next::Snooze {
            until: now + chrono::TimeDelta::seconds(60)
        }
    );
}

#[tokio::test]
async fn a_long_retry_after_is_left_to_the_job() {
    let at = StandIn::small().await;
    at.sandbox
        .faults
        .add(Fault::everywhere(Effect::RateLimited {
            retry_after: Some(300),
        }))
        .expect("a fault");
    let error = at
        .run("customers", PullMode::Full, None)
        .await
        .expect_err("refused");
    assert_eq!(error.retry_after, Some(Duration::from_secs(300)));
    assert_eq!(
        at.sandbox.faults.list()[0].struck,
        1,
        "asked again although told to wait"
    );
}

#[tokio::test]
async fn an_expired_token_parks_with_the_version_that_was_refused() {
    let at = StandIn::small().await;
    at.sandbox
        .faults
        .add(Fault::everywhere(Effect::ExpiredToken).after(2))
        .expect("a fault");
    let error = at
        .run("catalog", PullMode::Full, None)
        .await
        .expect_err("refused");
    assert_eq!(error.code.as_deref(), Some("ACCESS_TOKEN_EXPIRED"));
    let next = error.into_job_error(SystemClock.now(), Some(4)).next;
    assert_eq!(
        next,
        Next::Park {
            credential_version: Some(4)
        }
    );
}

#[tokio::test]
async fn a_run_goes_on_where_a_fault_stopped_it() {
    let at = StandIn::small().await;
    let session = at.session();
    let mut pull = patchbay_providers::Pull {
        stream: "customers".into(),
        mode: PullMode::Full,
        cursor: None,
        position: None,
        started_at: SystemClock.now(),
    };
    let first = at.provider().pull(&session, &pull).await.expect("a page");
    pull.position = first.next;
    at.sandbox
        .faults
        .add(Fault::everywhere(Effect::MalformedJson).times(1))
        .expect("a fault");
    let error = at
        .provider()
        .pull(&session, &pull)
        .await
        .expect_err("malformed");
    assert_eq!(error.kind, FailureKind::Protocol);
    assert!(matches!(
        error.into_job_error(SystemClock.now(), None).next,
        Next::Retry { after: None }
    ));
    let rest = at
        .provider()
        .pull(&session, &pull)
        .await
        .expect("the same page again");
    assert_eq!(
        first.records.len() + rest.records.len(),
        at.summary().customers
    );
}
