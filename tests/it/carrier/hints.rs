//! What hints promise, in memory and in Redis alike.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use patchbay_core::{
    clock::SystemClock,
    hints::{HINTS_PER_TURN, Hints, MemoryHints, Signal},
    ids::{JobId, OrgId},
    job::Queue,
    store::jobs::Due,
};
use patchbay_tests::TestRedis;

use super::stage::redis_hints;

const QUEUE: Queue = Queue::Sync;

fn hints_of(org: OrgId, count: usize) -> Vec<Due> {
    (0..count)
        .map(|_| Due {
            job: JobId::new(&SystemClock),
            turn: org,
        })
        .collect()
}

fn an_org() -> OrgId {
    OrgId::new(&SystemClock)
}

fn by_org(due: &[Due]) -> BTreeMap<OrgId, usize> {
    due.iter().fold(BTreeMap::new(), |mut counts, hint| {
        *counts.entry(hint.turn).or_default() += 1;
        counts
    })
}

/// Makes two tests of each function: one with hints in memory, one in Redis.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(std::sync::Arc::new(super::MemoryHints::new())).await;
            })+
        }
        mod in_redis {
            $(#[tokio::test]
            async fn $name() {
                let redis = super::TestRedis::fresh();
                super::$name(std::sync::Arc::new(super::redis_hints(redis.url()).await)).await;
            })+
        }
    };
}

on_both!(
    an_empty_queue_gives_nothing,
    a_flood_does_not_delay_small_orgs,
    turns_go_round,
    hints_of_one_org_come_in_order,
    at_most_a_thousand_are_kept_per_org,
    orgs_to_pass_over_keep_their_hints,
    several_wait_says_whether_others_are_left,
    queues_are_apart,
    many_orgs_in_one_push_all_arrive,
    depth_tells_what_waits,
    a_waiter_is_woken_by_a_push,
    a_second_waiter_is_woken_where_hints_are_left,
    signals_reach_every_reader,
);

async fn an_empty_queue_gives_nothing(hints: Arc<dyn Hints>) {
    let popped = hints.pop(QUEUE, 10, &[]).await.unwrap();
    assert!(popped.due.is_empty());
    assert!(!popped.several_wait);
    assert!(hints.pop(QUEUE, 0, &[]).await.unwrap().due.is_empty());
}

async fn a_flood_does_not_delay_small_orgs(hints: Arc<dyn Hints>) {
    let (flood, small, tiny) = (an_org(), an_org(), an_org());
    hints.push(QUEUE, &hints_of(flood, 900)).await.unwrap();
    hints.push(QUEUE, &hints_of(small, 3)).await.unwrap();
    hints.push(QUEUE, &hints_of(tiny, 1)).await.unwrap();
    let first = hints.pop(QUEUE, 6, &[]).await.unwrap().due;
    assert_eq!(
        by_org(&first),
        BTreeMap::from([(flood, 3), (small, 2), (tiny, 1)])
    );
    let turns: Vec<OrgId> = first.iter().take(3).map(|hint| hint.turn).collect();
    assert_eq!(
        turns,
        [flood, small, tiny],
        "one of each before the second of any"
    );
    let second = hints.pop(QUEUE, 4, &[]).await.unwrap().due;
    assert_eq!(by_org(&second), BTreeMap::from([(flood, 3), (small, 1)]));
}

async fn turns_go_round(hints: Arc<dyn Hints>) {
    let orgs: Vec<OrgId> = (0..5).map(|_| an_org()).collect();
    for org in &orgs {
        hints.push(QUEUE, &hints_of(*org, 20)).await.unwrap();
    }
    let mut served: BTreeMap<OrgId, usize> = BTreeMap::new();
    for _ in 0..10 {
        for (org, count) in by_org(&hints.pop(QUEUE, 3, &[]).await.unwrap().due) {
            *served.entry(org).or_default() += count;
        }
    }
    assert_eq!(served, orgs.iter().map(|org| (*org, 6)).collect());
}

async fn hints_of_one_org_come_in_order(hints: Arc<dyn Hints>) {
    let pushed = hints_of(an_org(), 50);
    hints.push(QUEUE, &pushed).await.unwrap();
    let mut popped = hints.pop(QUEUE, 20, &[]).await.unwrap().due;
    popped.extend(hints.pop(QUEUE, 100, &[]).await.unwrap().due);
    assert_eq!(popped, pushed);
}

async fn at_most_a_thousand_are_kept_per_org(hints: Arc<dyn Hints>) {
    let (flood, other) = (an_org(), an_org());
    for _ in 0..3 {
        hints.push(QUEUE, &hints_of(flood, 700)).await.unwrap();
    }
    hints.push(QUEUE, &hints_of(other, 1)).await.unwrap();
    assert_eq!(
        hints.depth(QUEUE, &[flood, other]).await.unwrap(),
        [HINTS_PER_TURN, 1]
    );
}

async fn orgs_to_pass_over_keep_their_hints(hints: Arc<dyn Hints>) {
    let (busy, idle) = (an_org(), an_org());
    hints.push(QUEUE, &hints_of(busy, 5)).await.unwrap();
    hints.push(QUEUE, &hints_of(idle, 2)).await.unwrap();
    let popped = hints.pop(QUEUE, 5, &[busy]).await.unwrap();
    assert_eq!(by_org(&popped.due), BTreeMap::from([(idle, 2)]));
    assert_eq!(hints.pop(QUEUE, 9, &[]).await.unwrap().due.len(), 5);
}

async fn several_wait_says_whether_others_are_left(hints: Arc<dyn Hints>) {
    let (one, two) = (an_org(), an_org());
    hints.push(QUEUE, &hints_of(one, 5)).await.unwrap();
    assert!(!hints.pop(QUEUE, 1, &[]).await.unwrap().several_wait);
    hints.push(QUEUE, &hints_of(two, 5)).await.unwrap();
    assert!(hints.pop(QUEUE, 1, &[]).await.unwrap().several_wait);
}

async fn queues_are_apart(hints: Arc<dyn Hints>) {
    hints
        .push(Queue::Webhook, &hints_of(an_org(), 2))
        .await
        .unwrap();
    assert!(hints.pop(QUEUE, 5, &[]).await.unwrap().due.is_empty());
    assert_eq!(
        hints.pop(Queue::Webhook, 5, &[]).await.unwrap().due.len(),
        2
    );
}

async fn many_orgs_in_one_push_all_arrive(hints: Arc<dyn Hints>) {
    let pushed: Vec<Due> = (0..40).flat_map(|_| hints_of(an_org(), 250)).collect();
    hints.push(QUEUE, &pushed).await.unwrap();
    let mut popped = Vec::new();
    loop {
        let due = hints.pop(QUEUE, 1_000, &[]).await.unwrap().due;
        if due.is_empty() {
            break;
        }
        popped.extend(due);
    }
    assert_eq!(popped.len(), 10_000);
    assert_eq!(by_org(&popped), by_org(&pushed));
}

async fn depth_tells_what_waits(hints: Arc<dyn Hints>) {
    let (one, two, none) = (an_org(), an_org(), an_org());
    hints.push(QUEUE, &hints_of(one, 3)).await.unwrap();
    hints.push(QUEUE, &hints_of(two, 4)).await.unwrap();
    assert_eq!(
        hints.depth(QUEUE, &[two, none, one]).await.unwrap(),
        [4, 0, 3]
    );
    assert!(hints.depth(QUEUE, &[]).await.unwrap().is_empty());
}

async fn a_waiter_is_woken_by_a_push(hints: Arc<dyn Hints>) {
    let began = Instant::now();
    let waiting = {
        let hints = Arc::clone(&hints);
        tokio::spawn(async move { hints.wait(QUEUE, Duration::from_secs(15)).await })
    };
    hints.push(QUEUE, &hints_of(an_org(), 1)).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "woken, not out of patience"
    );
    assert_eq!(hints.pop(QUEUE, 1, &[]).await.unwrap().due.len(), 1);
}

async fn a_second_waiter_is_woken_where_hints_are_left(hints: Arc<dyn Hints>) {
    let began = Instant::now();
    hints.push(QUEUE, &hints_of(an_org(), 10)).await.unwrap();
    hints.wait(QUEUE, Duration::from_secs(15)).await.unwrap();
    hints.pop(QUEUE, 4, &[]).await.unwrap();
    hints.wait(QUEUE, Duration::from_secs(15)).await.unwrap();
    hints.pop(QUEUE, 4, &[]).await.unwrap();
    hints.push(QUEUE, &[]).await.unwrap();
    hints.wait(QUEUE, Duration::from_secs(15)).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "woken, not out of patience"
    );
}

async fn signals_reach_every_reader(hints: Arc<dyn Hints>) {
    let org = an_org();
    let sent: Vec<Signal> = (0..300)
        .map(|_| Signal::Job {
            org,
            job: JobId::new(&SystemClock),
        })
        .collect();
    let mut readers = [hints.signals(), hints.signals()];
    hints.signal_all(&sent).await.unwrap();
    for reader in &mut readers {
        for signal in &sent {
            let got = tokio::time::timeout(Duration::from_secs(10), reader.recv())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(got, *signal);
        }
    }
}
