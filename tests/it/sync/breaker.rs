//! A provider's host that does not answer is left alone: jobs wait and burn no attempt, a
//! check goes through, and the first call that passes lets everything go on.

use std::time::Duration;

use chrono::TimeDelta;
use patchbay_core::{
    breaker::Breaker,
    failure::FailureKind,
    job::{JobError, JobState, Next, Settle, Settlement},
    retry::{self, RetryPolicy},
};
use patchbay_providers::PullMode;
use patchbay_sandbox::{Effect, Fault};
use patchbay_worker::{JobRun, jobs};
use serde_json::Value;

use super::{desk::Desk, on_both_databases};
use crate::guarded::guarded;

on_both_databases!(
    a_host_that_fails_is_left_alone_and_costs_no_attempt,
    a_persons_test_goes_through_and_lets_the_jobs_go_on,
    a_probe_that_fails_keeps_it_open_and_one_that_passes_closes_it,
    one_connection_that_is_refused_leaves_the_host_alone_to_nobody,
);

/// A connected desk whose provider fails, with a breaker that has just opened; and the job.
async fn opened(desk: Desk) -> (Desk, JobRun, JobError) {
    let mut desk = desk.connected().await;
    desk.ctx.outbound = guarded(&desk.ctx.store);
    let fault = Fault::at("*", Effect::ServerError { status: 503 });
    desk.sandbox.faults.add(fault).unwrap();
    let mut run = desk.claim(desk.sync_job("customers", PullMode::Full)).await;
    for _ in 0..4 {
        let error = ask(&desk, &run).await.expect_err("the provider fails");
        if matches!(error.next, Next::Snooze { .. }) {
            return (desk, run, error);
        }
        assert_eq!(error.next, Next::Retry { after: None });
        run = again(&desk, run, &error).await;
    }
    panic!("the breaker did not open");
}

async fn ask(desk: &Desk, run: &JobRun) -> Result<Value, JobError> {
    jobs::run(run, &desk.ctx).await
}

/// Back to the queue, and claimed again.
async fn again(desk: &Desk, run: JobRun, error: &JobError) -> JobRun {
    let id = run.job.id;
    desk.settle(&run, &Err(error.clone())).await;
    desk.claim_again(id).await
}

fn sent(desk: &Desk) -> u64 {
    desk.sandbox.requests.count("GET /square/v2/customers")
}

/// As soon as the process looks at its fleet's breakers again, a second at most.
async fn until_it_passes(desk: &Desk, mut run: JobRun) {
    for _ in 0..200 {
        match ask(desk, &run).await {
            Ok(_) => return,
            Err(error) => run = again(desk, run, &error).await,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it stays closed to the job");
}

async fn only_breaker(desk: &Desk) -> Option<Breaker> {
    let (rows, _) = desk.ctx.store.breakers().await.unwrap();
    rows.into_iter().next().map(|(_, row)| row)
}

async fn a_host_that_fails_is_left_alone_and_costs_no_attempt(desk: Desk) {
    let (desk, run, error) = Box::pin(opened(desk)).await;
    assert_eq!(error.failure.kind, FailureKind::ProviderDown);
    assert!(
        error
            .failure
            .message
            .contains("Square does not answer since")
            && error.failure.message.contains("it is tried again at"),
        "{}",
        error.failure.message
    );
    let before = sent(&desk);
    let run = again(&desk, run, &error).await;
    let held = ask(&desk, &run).await.expect_err("the host is left alone");
    assert_eq!(sent(&desk), before, "nothing is sent");
    let now = desk.ctx.clock.now();
    let settle = retry::decide(&run.job, Err(held), &RetryPolicy::default(), now, 0.5);
    let Settle::Snooze { delay, .. } = &settle else {
        panic!("{settle:?}");
    };
    assert!(*delay <= Duration::from_secs(20), "{delay:?}");
    let settlement = Settlement {
        lease: run.lease,
        end: settle,
    };
    desk.ctx.store.jobs().settle(&[settlement]).await.unwrap();
    let row = desk.job(run.job.id).await;
    assert_eq!((row.state, row.attempt), (JobState::Queued, 0));
    assert!(row.run_at > now);
    let shown = row.error.unwrap()["message"].to_string();
    assert!(shown.contains("Square does not answer since"), "{shown}");
}

async fn a_persons_test_goes_through_and_lets_the_jobs_go_on(desk: Desk) {
    let (desk, run, error) = Box::pin(opened(desk)).await;
    let refused = desk.test_again().await.expect_err("it still fails");
    assert!(
        !refused.failure.message.contains("left alone"),
        "the true answer is told"
    );
    assert!(only_breaker(&desk).await.unwrap().opened_at.is_some());
    desk.sandbox.faults.clear();
    desk.test_again().await.expect("it answers again");
    assert_eq!(only_breaker(&desk).await, None);
    let run = again(&desk, run, &error).await;
    ask(&desk, &run).await.expect("the job goes on");
}

async fn a_probe_that_fails_keeps_it_open_and_one_that_passes_closes_it(desk: Desk) {
    let (desk, run, error) = Box::pin(opened(desk)).await;
    let first = only_breaker(&desk).await.unwrap();
    let end_the_pause = async || {
        let change = |row: &mut Breaker, now| {
            row.probe_at = Some(now - TimeDelta::seconds(1));
            true
        };
        let (rows, _) = desk.ctx.store.breakers().await.unwrap();
        let (provider, origin) = &rows[0].0;
        desk.ctx
            .store
            .change_breaker(provider, origin, change)
            .await
            .unwrap();
    };
    end_the_pause().await;
    let mut run = again(&desk, run, &error).await;
    let before = sent(&desk);
    for _ in 0..200 {
        let error = ask(&desk, &run).await.expect_err("it still fails");
        assert!(
            matches!(error.next, Next::Snooze { .. }),
            "{:?}",
            error.next
        );
        run = again(&desk, run, &error).await;
        if sent(&desk) > before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sent(&desk), before + 1, "one probe");
    let second = only_breaker(&desk).await.unwrap();
    assert_eq!(
        (second.trips, second.opened_at),
        (first.trips + 1, first.opened_at)
    );
    desk.sandbox.faults.clear();
    end_the_pause().await;
    until_it_passes(&desk, run).await;
    assert_eq!(only_breaker(&desk).await, None);
}

async fn one_connection_that_is_refused_leaves_the_host_alone_to_nobody(desk: Desk) {
    let mut desk = desk.connected().await;
    desk.ctx.outbound = guarded(&desk.ctx.store);
    let fault = Fault::at("*customers*", Effect::InsufficientScopes);
    desk.sandbox.faults.add(fault).unwrap();
    let run = desk.claim(desk.sync_job("customers", PullMode::Full)).await;
    for _ in 0..12 {
        let error = ask(&desk, &run).await.expect_err("the token may not");
        assert_eq!(error.next, Next::Fail);
    }
    assert_eq!(only_breaker(&desk).await, None);
}
