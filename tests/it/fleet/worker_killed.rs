//! A worker is killed with SIGKILL, or stopped gracefully, in the middle of a sync.

use std::time::Duration;

use patchbay_tests::{Process, free_port};

use super::{stage::Fleet, watch::Watch};

/// The one of two workers that runs the job, and the other.
async fn split(fleet: &Fleet, job: &str, workers: (Process, Process)) -> (Process, Process) {
    if workers.0.id() == fleet.runner_of(job).await {
        workers
    } else {
        (workers.1, workers.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn syncs_end_complete_though_their_workers_are_killed_and_their_streams_go_on() {
    let fleet = Fleet::with_orders(4_000).await;
    let _api = fleet.api().await;
    let _scheduler = fleet.scheduler().await;
    // One is left even where each of the two jobs has a worker of its own.
    let mut workers = [
        fleet.worker().await,
        fleet.worker().await,
        fleet.worker().await,
    ];
    fleet.connect();
    fleet.slow_down(&[("*catalog*", 150), ("*orders*", 500)]);
    let jobs = [fleet.sync("sales"), fleet.sync("catalog")];
    let [sales, catalog] = &jobs;
    let mut of_sales = Watch::open(fleet.api_port, &fleet.key, sales).await;
    let mut of_catalog = Watch::open(fleet.api_port, &fleet.key, catalog).await;
    of_sales.until_done(500).await;
    of_catalog.until_done(500).await;

    let doomed = [fleet.runner_of(sales).await, fleet.runner_of(catalog).await];
    for worker in &mut workers {
        if doomed.contains(&worker.id()) {
            worker.kill().unwrap();
        }
    }
    fleet.slow_down(&[]);

    let ends = tokio::join!(of_sales.end(), of_catalog.end());
    assert_eq!(
        (ends.0.as_str(), ends.1.as_str()),
        ("succeeded", "succeeded")
    );
    fleet.assert_sales_complete(sales).await;
    fleet.assert_catalog_complete(catalog).await;
    for job in &jobs {
        let shown = fleet.json(&["jobs", "show", job]);
        assert_eq!(shown["attempt"], 0, "a death burns no attempt: {shown}");
        let log = fleet.json(&["jobs", "logs", job]).to_string();
        assert!(log.contains("going on after a break"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_graceful_stop_hands_the_sync_over_without_burning_an_attempt() {
    let fleet = Fleet::prepare().await;
    let _api = fleet.api().await;
    let _scheduler = fleet.scheduler().await;
    let workers = (fleet.worker().await, fleet.worker().await);
    fleet.connect();
    let job = fleet.sync_catalog();
    let mut watch = Watch::open(fleet.api_port, &fleet.key, &job).await;
    watch.until_done(500).await;

    let (mut runner, _other) = split(&fleet, &job, workers).await;
    let ended = runner.terminate(Duration::from_secs(30)).await.unwrap();

    assert!(ended.success(), "{ended}");
    assert_eq!(watch.end().await, "succeeded");
    fleet.assert_catalog_complete(&job).await;
    let shown = fleet.json(&["jobs", "show", &job]);
    assert_eq!(
        (&shown["attempt"], &shown["crashes"]),
        (&0.into(), &0.into()),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_that_was_stopped_past_its_lease_writes_nothing_when_it_comes_back() {
    let fleet = Fleet::prepare().await;
    let _api = fleet.api().await;
    let _scheduler = fleet.scheduler().await;
    let workers = (fleet.worker().await, fleet.worker().await);
    fleet.connect();
    let job = fleet.sync_catalog();
    let mut watch = Watch::open(fleet.api_port, &fleet.key, &job).await;
    watch.until_done(500).await;

    let (runner, _other) = split(&fleet, &job, workers).await;
    runner.pause().unwrap();
    // The other one has it once a record more is committed than the paused one could.
    let paused_at = watch.done;
    watch.until_done(paused_at + 200).await;
    runner.resume().unwrap();

    assert_eq!(watch.end().await, "succeeded");
    fleet.assert_catalog_complete(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_subscriber_of_another_api_process_sees_the_same_job() {
    let fleet = Fleet::prepare().await;
    let second_port = free_port();
    let (_first, _second) = (fleet.api().await, fleet.api_at(second_port).await);
    let _scheduler = fleet.scheduler().await;
    let _worker = fleet.worker().await;
    fleet.connect();
    let job = fleet.sync_catalog();
    let mut first = Watch::open(fleet.api_port, &fleet.key, &job).await;
    first.until_done(300).await;
    let mut second = Watch::open(second_port, &fleet.key, &job).await;
    let picture = second.next().await;
    assert!(
        picture["progress"]["done"].as_u64().unwrap() >= 300,
        "the first message is the whole picture: {picture}"
    );
    assert_eq!(first.end().await, "succeeded");
    assert_eq!(second.end().await, "succeeded");
    assert_eq!(first.done, second.done);
}
