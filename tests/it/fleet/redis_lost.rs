//! Redis goes away, comes back empty, or is flushed in the middle of a sync. It
//! only hints, so nothing is lost and work goes on.

use super::{stage::Fleet, watch::Watch};

/// A page of the catalog, in milliseconds, while Redis is disturbed: what is left of it
/// takes longer than that by far. Afterwards it may hurry.
const MEANWHILE: u64 = 800;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sync_ends_complete_though_redis_is_killed_and_comes_back_empty() {
    let mut fleet = Fleet::prepare().await;
    let _api = fleet.api().await;
    let _scheduler = fleet.scheduler().await;
    let _workers = (fleet.worker().await, fleet.worker().await);
    fleet.connect();
    let job = fleet.sync_catalog();
    let mut watch = Watch::open(fleet.api_port, &fleet.key, &job).await;
    watch.until_done(500).await;

    fleet.redis.kill().unwrap();
    let without = watch.done;
    watch.until_done(without + 300).await;
    fleet.slow_down(&[("*catalog*", MEANWHILE)]);
    // A job that is asked for while Redis is away is found in the table.
    let other = fleet.json(&["sync", "square", "--stream", "customers", "--follow"]);
    assert_eq!(other["jobs"][0]["state"], "succeeded", "{other}");
    fleet.redis.restart().await.unwrap();
    // It has not ended before Redis was back: it goes on beside the new one.
    watch.until_done(fleet.done_by(&job) + 100).await;
    fleet.slow_down(&[]);

    assert_eq!(watch.end().await, "succeeded");
    fleet.assert_catalog_complete(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sync_ends_complete_though_redis_is_flushed_in_the_middle() {
    let fleet = Fleet::prepare().await;
    let _api = fleet.api().await;
    let _scheduler = fleet.scheduler().await;
    let _workers = (fleet.worker().await, fleet.worker().await);
    fleet.connect();
    let job = fleet.sync_catalog();
    let mut watch = Watch::open(fleet.api_port, &fleet.key, &job).await;
    watch.until_done(500).await;
    fleet.slow_down(&[("*catalog*", MEANWHILE)]);
    fleet.redis.flush().unwrap();
    let customers = fleet.json(&["sync", "square", "--stream", "customers", "--follow"]);
    fleet.redis.flush().unwrap();
    watch.until_done(fleet.done_by(&job) + 100).await;
    fleet.slow_down(&[]);

    assert_eq!(customers["jobs"][0]["state"], "succeeded", "{customers}");
    assert_eq!(watch.end().await, "succeeded");
    fleet.assert_catalog_complete(&job).await;
}
