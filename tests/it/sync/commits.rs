//! When what was gathered is committed, and what a watcher sees of it.

use std::time::Duration;

use patchbay_core::{ids::JobId, job::Next};
use patchbay_providers::PullMode;
use patchbay_sandbox::{Effect, Fault};
use patchbay_worker::jobs;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    what_has_come_is_committed_while_the_next_page_is_slow,
    progress_is_counted_in_the_unit_of_the_stream,
);

const LISTS: &str = "GET /square/v2/catalog/list";

/// Records that the job shows as done, once there are any.
async fn first_done(desk: &Desk, job: JobId) -> u64 {
    loop {
        let progress = desk.job(job).await.progress.unwrap_or_default();
        match progress["done"].as_u64() {
            None | Some(0) => sleep(Duration::from_millis(20)).await,
            Some(done) => return done,
        }
    }
}

async fn what_has_come_is_committed_while_the_next_page_is_slow(desk: Desk) {
    let desk = desk.connected().await;
    // The second page comes when this test has long ended.
    let slow = Effect::Latency { ms: 60_000 };
    let second = Fault::at(LISTS, slow).after(1);
    desk.sandbox.faults.add(second).unwrap();
    let run = desk.claim(desk.sync_job("catalog", PullMode::Full)).await;
    let watch = async {
        let seen = timeout(Duration::from_secs(20), first_done(&desk, run.job.id)).await;
        run.stop.cancel();
        seen
    };
    let (outcome, seen) = tokio::join!(jobs::run(&run, &desk.ctx), watch);
    let seen = seen.expect("the first page is shown before the second has come");
    assert_eq!(desk.sandbox.requests.count(LISTS), 1);
    assert_eq!(u64::try_from(desk.living("catalog").await).unwrap(), seen);
    let stopped = outcome.expect_err("it was asked to stop");
    assert_eq!(stopped.next, Next::Release);
    desk.settle(&run, &Err(stopped)).await;

    // The place that was committed with it is the one after it.
    desk.sandbox.faults.clear();
    let again = desk.claim_again(run.job.id).await;
    let result = jobs::run(&again, &desk.ctx).await.unwrap();
    assert_eq!(result["records"], json!(desk.living("catalog").await));
    assert_eq!(result["counts"]["created"], result["records"], "{result}");
}

async fn progress_is_counted_in_the_unit_of_the_stream(desk: Desk) {
    let desk = desk.connected().await;
    for (stream, unit) in [
        ("catalog", "objects"),
        ("sales", "orders"),
        ("inventory", "counts"),
    ] {
        let run = desk.claim(desk.sync_job(stream, PullMode::Full)).await;
        jobs::run(&run, &desk.ctx).await.unwrap();
        let progress = desk.job(run.job.id).await.progress.unwrap();
        assert_eq!(progress["unit"], json!(unit), "{progress}");
    }
}
