//! A provider that fails: the job waits, tries again or gives up, and what was
//! committed stays.

use patchbay_core::{
    failure::FailureKind,
    job::{JobState, Next},
};
use patchbay_providers::PullMode;
use patchbay_sandbox::{Effect, Fault};
use patchbay_worker::jobs;

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    a_short_burst_of_429_is_waited_out,
    a_short_run_of_500_is_waited_out,
    malformed_json_is_tried_again_and_then_works,
    an_endless_cursor_ends_with_a_protocol_failure,
    pages_that_overlap_give_each_record_once,
    missing_scopes_fail_and_say_which_permission_is_missing,
);

async fn a_short_burst_of_429_is_waited_out(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at("*customers*", Effect::RateLimited { retry_after: None }).times(2))
        .unwrap();
    desk.sync("customers", PullMode::Full)
        .await
        .expect("two refusals are waited out");
}

async fn a_short_run_of_500_is_waited_out(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at("*customers*", Effect::ServerError { status: 503 }).times(1))
        .unwrap();
    desk.sync("customers", PullMode::Full)
        .await
        .expect("one fault is waited out");
}

async fn malformed_json_is_tried_again_and_then_works(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at("*customers*", Effect::MalformedJson).times(1))
        .unwrap();
    let run = desk.claim(desk.sync_job("customers", PullMode::Full)).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    let error = outcome.expect_err("what came is no JSON");
    assert_eq!(error.failure.kind, FailureKind::Protocol);
    assert_eq!(error.next, Next::Retry { after: None });
    assert_eq!(desk.living("customers").await, 0);

    let run = desk.claim_again(run.job.id).await;
    let outcome = jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    outcome.expect("the fault is over");
    assert_eq!(desk.state(run.job.id).await, JobState::Succeeded);
    assert_eq!(desk.living("customers").await, 40);
}

async fn an_endless_cursor_ends_with_a_protocol_failure(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at(
            "*catalog/list*",
            Effect::EndlessCursor { fresh: false },
        ))
        .unwrap();
    let error = desk
        .sync("catalog", PullMode::Full)
        .await
        .expect_err("the pages never end");
    assert_eq!(error.failure.kind, FailureKind::Protocol);
}

async fn pages_that_overlap_give_each_record_once(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at("*catalog/list*", Effect::DuplicateItems))
        .unwrap();
    desk.sync("catalog", PullMode::Full).await.unwrap();
    let mut ids: Vec<String> = desk
        .records("catalog")
        .await
        .into_iter()
        .map(|record| record.external_id)
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

async fn missing_scopes_fail_and_say_which_permission_is_missing(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at("*customers*", Effect::InsufficientScopes))
        .unwrap();
    let error = desk
        .sync("customers", PullMode::Full)
        .await
        .expect_err("the token may not");
    assert_eq!(
        (error.next, error.failure.kind),
        (Next::Fail, FailureKind::Scope)
    );
    assert!(!error.failure.action.is_empty());
}
