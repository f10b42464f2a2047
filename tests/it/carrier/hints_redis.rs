//! What only hints in Redis have to stand: an outage, a flush, rubbish, other processes.

use std::time::{Duration, Instant};

use patchbay_core::{
    clock::SystemClock,
    hints::{Hints, RedisHints, Signal},
    ids::{DeploymentId, JobId, OrgId},
    job::Queue,
    store::jobs::Due,
};
use patchbay_tests::{RedisServer, TestRedis};

use super::stage::{redis_hints, until};

const QUEUE: Queue = Queue::Sync;

fn a_hint() -> Due {
    Due {
        job: JobId::new(&SystemClock),
        turn: OrgId::new(&SystemClock),
    }
}

#[tokio::test]
async fn two_processes_share_hints_and_signals() {
    let redis = TestRedis::fresh();
    let deployment = DeploymentId::new(&SystemClock);
    let one = RedisHints::open(redis.url(), deployment).await.unwrap();
    let other = RedisHints::open(redis.url(), deployment).await.unwrap();
    let stranger = redis_hints(redis.url()).await;
    let hint = a_hint();
    one.push(QUEUE, &[hint]).await.unwrap();
    assert!(
        stranger.pop(QUEUE, 1, &[]).await.unwrap().due.is_empty(),
        "another deployment has its own"
    );
    assert_eq!(other.pop(QUEUE, 1, &[]).await.unwrap().due, [hint]);

    let mut reader = other.signals();
    let signal = Signal::Job {
        org: hint.turn,
        job: hint.job,
    };
    until("a signal of the other process", async || {
        one.signal(signal).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_millis(100), reader.recv()).await;
        heard.is_ok_and(|heard| heard.unwrap() == signal)
    })
    .await;
}

#[tokio::test]
async fn after_a_flush_everything_goes_on() {
    let redis = TestRedis::fresh();
    let hints = redis_hints(redis.url()).await;
    hints.push(QUEUE, &[a_hint()]).await.unwrap();
    redis.flush().unwrap();
    assert!(hints.pop(QUEUE, 5, &[]).await.unwrap().due.is_empty());
    let hint = a_hint();
    hints.push(QUEUE, &[hint]).await.unwrap();
    assert_eq!(hints.pop(QUEUE, 5, &[]).await.unwrap().due, [hint]);
}

#[tokio::test]
async fn rubbish_in_a_list_is_passed_over() {
    let redis = TestRedis::fresh();
    let deployment = DeploymentId::new(&SystemClock);
    let hints = RedisHints::open(redis.url(), deployment).await.unwrap();
    let hint = a_hint();
    let list = format!("{{pb:{deployment}:sync}}:org:{}", hint.turn);
    let mut raw = redis::Client::open(redis.url())
        .unwrap()
        .get_connection()
        .unwrap();
    redis::cmd("RPUSH")
        .arg(&list)
        .arg("rubbish")
        .exec(&mut raw)
        .unwrap();
    hints.push(QUEUE, &[hint]).await.unwrap();
    assert_eq!(hints.pop(QUEUE, 5, &[]).await.unwrap().due, [hint]);
}

#[tokio::test]
async fn while_redis_is_away_callers_are_told_at_once_and_it_is_found_again() {
    let mut server = RedisServer::start().await.unwrap();
    let hints = redis_hints(&server.url()).await;
    let mut reader = hints.signals();
    hints.push(QUEUE, &[a_hint()]).await.unwrap();
    server.kill().unwrap();
    until("the loss is noticed", async || hints.ping().await.is_err()).await;

    let began = Instant::now();
    for _ in 0..1_000 {
        hints.push(QUEUE, &[a_hint()]).await.unwrap_err();
        hints.pop(QUEUE, 1, &[]).await.unwrap_err();
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "2,000 refusals took {:?}",
        began.elapsed()
    );
    hints
        .wait(QUEUE, Duration::from_secs(30))
        .await
        .unwrap_err();

    server.restart().await.unwrap();
    until("Redis is found again", async || hints.ping().await.is_ok()).await;
    let hint = a_hint();
    hints.push(QUEUE, &[hint]).await.unwrap();
    hints.wait(QUEUE, Duration::from_secs(5)).await.unwrap();
    assert_eq!(hints.pop(QUEUE, 1, &[]).await.unwrap().due, [hint]);
    let signal = Signal::Job {
        org: hint.turn,
        job: hint.job,
    };
    until("signals come again", async || {
        hints.signal(signal).await.unwrap();
        tokio::time::timeout(Duration::from_millis(100), reader.recv())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn an_address_without_redis_starts_anyway() {
    let nobody = patchbay_tests::free_port();
    let hints = redis_hints(&format!("redis://127.0.0.1:{nobody}/0")).await;
    hints.ping().await.unwrap_err();
}
