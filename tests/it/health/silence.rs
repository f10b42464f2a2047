//! A provider that does not answer holds up nobody else's checks.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    breaker::{Breaker, FAILURES},
    connection::Health,
    job::{JobKind, NewJob, Next, Queue},
};
use patchbay_worker::{Manners, Silence, jobs};
use serde_json::json;

use super::{
    clinic::{Clinic, Patient},
    on_both_databases,
    standin::{Silent, guard},
    verdicts::told,
};

on_both_databases!(
    a_silent_host_is_asked_by_a_few_and_the_others_fail_unasked,
    a_few_see_a_host_that_answers_again_for_all_of_their_batch,
    one_batch_waits_for_a_provider_of_silent_hosts,
);

/// More than are asked at one time.
const SILENT: usize = 64;
/// Asked at one time, those that begin while the breaker counts the first of them, and a few
/// that look whether it is back.
const MOST: u64 = 32 + FAILURES as u64 + 4;

async fn at_slack(clinic: &Clinic, count: usize) -> Vec<Patient> {
    let mut patients = Vec::new();
    for _ in 0..count {
        patients.push(clinic.patient_at("slack", "xoxb-token").await);
    }
    patients
}

/// What the batch of one provider came to after another five minutes.
async fn round_at(clinic: &Clinic) -> [serde_json::Value; 2] {
    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    assert_eq!(jobs.len(), 2, "slack and square");
    let slack = clinic.work(jobs[0]).await.unwrap();
    [slack, clinic.work(jobs[1]).await.unwrap()]
}

async fn a_silent_host_is_asked_by_a_few_and_the_others_fail_unasked(mut clinic: Clinic) {
    let silent = Silent::at(&mut clinic).await;
    guard(&mut clinic);
    clinic.ctx.silence = Arc::new(Silence::with(Manners {
        patience: Duration::from_secs(4),
        impatience: Duration::from_millis(500),
        scouts_every: Duration::from_secs(3600),
    }));
    let at_slack = at_slack(&clinic, SILENT).await;
    let at_square = clinic.patients(5).await;

    let [slack, square] = round_at(&clinic).await;
    assert_eq!(slack["failed"], SILENT);
    let asked = silent.asked();
    assert!((u64::from(FAILURES)..=MOST).contains(&asked), "{asked}");
    let unasked = slack["unasked"].as_u64().unwrap();
    assert!(unasked >= SILENT as u64 - MOST, "{slack}");
    assert_eq!(square["passed"], 5);

    for _ in 0..2 {
        let [slack, square] = round_at(&clinic).await;
        assert_eq!(slack["unasked"], SILENT, "all wait for a few");
        assert_eq!(square["passed"], 5);
    }
    assert_eq!(silent.asked(), asked);

    // Failed is failed, asked or not: three in a row, each in the log.
    for patient in &at_slack {
        let row = clinic.row(*patient).await;
        assert_eq!((row.health, row.error_count), (Health::Failing, 3));
        assert_eq!(clinic.counted(*patient).await, (3, 3));
        let error = row.last_error.unwrap();
        assert_eq!(
            (&error["kind"], &error["next_action"]["kind"]),
            (&json!("provider_down"), &json!("wait_until"))
        );
        let words = error["message"].as_str().unwrap();
        let so = "Slack was not asked: its host has not answered since 20";
        assert!(words.starts_with(so), "{words}");
        assert!(words.contains("(no answer to a check within "), "{words}");
    }
    let health = |from, to| (json!(from), json!(to));
    assert_eq!(
        told(&clinic, at_slack[0]).await,
        [
            health(Health::Healthy, Health::Degraded),
            health(Health::Degraded, Health::Failing)
        ]
    );
    let (org, id) = (at_slack[0].org, at_slack[0].id);
    let log = clinic.ctx.store.health_log(org, id, 10).await.unwrap();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|line| !line.ok && line.kind == "scheduled"));
    for patient in at_square {
        assert_eq!(clinic.counted(patient).await, (3, 0));
    }

    // A person's check goes out whatever is known, and lets the others go on.
    silent.speak();
    assert_eq!(clinic.check(at_slack[0]).await.unwrap()["ok"], true);
    let [slack, _] = round_at(&clinic).await;
    assert_eq!(
        (&slack["passed"], &slack["unasked"]),
        (&json!(SILENT), &json!(0))
    );
}

async fn a_few_see_a_host_that_answers_again_for_all_of_their_batch(mut clinic: Clinic) {
    let silent = Silent::at(&mut clinic).await;
    guard(&mut clinic);
    at_slack(&clinic, 12).await;
    clinic.patient().await;
    let open = |row: &mut Breaker, now| {
        *row = Breaker {
            failures: FAILURES,
            first_failed_at: Some(now),
            opened_at: Some(now),
            trips: 1,
            probe_at: Some(now + chrono::TimeDelta::hours(1)),
            reason: Some("it answers 503".into()),
        };
        true
    };
    let store = &clinic.ctx.store;
    store
        .change_breaker("slack", &silent.url, open)
        .await
        .unwrap();
    silent.speak();
    let [slack, _] = round_at(&clinic).await;
    let passed = (&json!(12), &json!(0));
    assert_eq!((&slack["passed"], &slack["unasked"]), passed, "{slack}");
    assert_eq!(store.breakers().await.unwrap().0, []);
    let [slack, _] = round_at(&clinic).await;
    assert_eq!(slack["passed"], 12);
}

/// Where hosts differ, no circuit breaker opens: each of them failed once.
async fn one_batch_waits_for_a_provider_of_silent_hosts(mut clinic: Clinic) {
    let silent = Silent::at(&mut clinic).await;
    clinic.ctx.silence = Arc::new(Silence::with(Manners {
        patience: Duration::from_secs(2),
        impatience: Duration::from_secs(2),
        ..Manners::default()
    }));
    at_slack(&clinic, 4).await;
    clinic.patient().await;
    let [slack, _] = round_at(&clinic).await;
    assert_eq!(
        (&slack["failed"], &slack["unasked"]),
        (&json!(4), &json!(0))
    );

    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    let waits = clinic.claim(jobs[0]).await;
    let twin = NewJob {
        args: waits.job.args.clone(),
        ..NewJob::new(None, JobKind::HealthBatch, Queue::Maintenance, "test")
    };
    let twin = clinic.enqueue(twin).await;
    let twin = clinic.claim(twin).await;
    let before = silent.asked();
    let while_it_waits = async {
        while silent.asked() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let put_off = jobs::run(&twin, &clinic.ctx).await.unwrap_err();
        let square = clinic.work(jobs[1]).await.unwrap();
        (put_off, square)
    };
    let (waited, (put_off, square)) =
        tokio::join!(Box::pin(jobs::run(&waits, &clinic.ctx)), while_it_waits);
    assert_eq!(waited.unwrap()["failed"], 4);
    assert!(matches!(put_off.next, Next::Snooze { .. }), "{put_off:?}");
    assert_eq!(square["passed"], 1);
    // Nothing is asked twice.
    assert_eq!(jobs::run(&twin, &clinic.ctx).await.unwrap()["skipped"], 4);
}
