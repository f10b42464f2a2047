//! The short run of `make test`: a few rounds of the faults that matter most, and a few seeded
//! bugs, so that a checker that sees nothing fails too. `make faults` has all of both.
//!
//! Each test starts its own servers and processes from its own thread, with which they end.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its module shares"
)]

use patchbay_faults::{
    faults::{Fault, Run},
    mutation,
    outcome::{line, remarks},
};

async fn holds(fault: Fault) {
    patchbay_faults::prepare().unwrap();
    let run = Run {
        short: true,
        mutation: None,
    };
    let outcome = fault.run(run).await.unwrap();
    assert!(
        outcome.passed(),
        "{}\n{}",
        line(&outcome),
        remarks(&outcome).join("\n")
    );
}

/// The checker sees that a promise is broken which the bug breaks.
async fn catches(bug: &str) {
    patchbay_faults::prepare().unwrap();
    let mutation = mutation::ALL.iter().find(|one| one.name == bug).unwrap();
    let run = Run {
        short: true,
        mutation: Some(mutation),
    };
    let outcome = mutation.caught_by.run(run).await.unwrap();
    assert!(mutation.was_in_force(), "a statement of it has changed");
    assert!(
        mutation.is_caught(&outcome.findings),
        "{:?}",
        outcome.findings.violations
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_done_once_and_in_time() {
    holds(Fault::Calm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_a_body_loses_nothing() {
    holds(Fault::WorkerKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_killed_after_its_answer_loses_nothing() {
    holds(Fault::ApiKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_flushed_killed_stalled_and_full_is_not_noticed() {
    holds(Fault::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_under_load_loses_nothing() {
    holds(Fault::PostgresKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_not_noticed() {
    holds(Fault::Rolling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_product_killed_while_it_writes_loses_nothing() {
    holds(Fault::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_does_not_compare_the_epoch_is_caught() {
    catches("the fence does not compare the epoch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_its_commit_is_caught() {
    catches("2xx before the commit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_before_its_time_is_caught() {
    catches("a claim does not look at run_at").await;
}
