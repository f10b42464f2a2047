//! The dead-letter queue: groups, and what a person can do with many jobs at once.

use axum::http::Method;
use chrono::{DateTime, Utc};
use patchbay_core::{
    entities::job::Model as Job,
    failure::{Failure, FailureKind},
    ids::JobId,
    job::{JobKind, NewJob, Queue, SealedArgs, Settle},
};
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

fn noop(desk: &Desk) -> NewJob {
    NewJob::new(Some(desk.org), JobKind::Noop, Queue::Maintenance, "test")
}

async fn die(desk: &Desk, new: NewJob, message: &str) -> JobId {
    let tx = desk.store.begin().await.unwrap();
    let enqueued = desk.store.jobs().enqueue(&tx, vec![new]).await.unwrap();
    tx.commit().await.unwrap();
    let job: Job = desk.claim(enqueued[0].job().id).await;
    let failure = Failure::new(FailureKind::ProviderDown, message, "wait");
    desk.end(&job, Settle::Fail { failure }).await;
    job.id
}

/// Three that failed alike and one that did not.
async fn four_dead(desk: &Desk) -> Vec<JobId> {
    let mut ids = Vec::new();
    for message in [
        "no answer within 30s from `a`",
        "no answer within 5s from `b`",
        "No answer within 7s from `c`",
        "it answers rubbish",
    ] {
        ids.push(die(desk, noop(desk), message).await);
    }
    ids
}

async fn groups(desk: &Desk) -> Value {
    desk.get("/dead-jobs").await.expect(200)
}

async fn group_of(desk: &Desk, count: i64) -> String {
    let groups = groups(desk).await;
    let all = groups["groups"].as_array().unwrap();
    let group = all.iter().find(|group| group["count"] == count).unwrap();
    group["group"].as_str().unwrap().to_owned()
}

fn run_at(job: &Value) -> DateTime<Utc> {
    job["run_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_failed_alike_is_one_group_with_its_newest_job_as_an_example() {
    let desk = desk().await;
    let ids = four_dead(&desk).await;
    let dead = groups(&desk).await;
    assert_eq!(
        (&dead["total_groups"], &dead["total_jobs"]),
        (&json!(2), &json!(4))
    );
    let counts: Vec<&Value> = dead["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| &group["count"])
        .collect();
    assert_eq!(counts, [1, 3], "the one that grew last comes first");
    let group = &dead["groups"][1];
    assert!(
        group["group"]
            .as_str()
            .unwrap()
            .starts_with("noop:-:provider_down:"),
        "{group}"
    );
    assert_eq!(group["example"]["id"], ids[2].to_string());
    assert!(group["first_at"].as_str() < group["last_at"].as_str());
    let name = group["group"].as_str().unwrap();
    let listed = desk.get(&format!("/jobs?group={name}")).await.expect(200);
    let listed: Vec<&Value> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["id"])
        .collect();
    assert_eq!(listed, [&json!(ids[2]), &json!(ids[1]), &json!(ids[0])]);
}

#[tokio::test]
async fn a_dry_run_counts_and_does_nothing() {
    let desk = desk().await;
    four_dead(&desk).await;
    let group = group_of(&desk, 3).await;
    let path = "/dead-jobs/retry?dry_run=true";
    let told = desk.post(path, json!({ "group": group })).await.expect(200);
    assert_eq!(
        (
            &told["dry_run"],
            &told["matched"],
            &told["retried"],
            &told["left"]
        ),
        (&json!(true), &json!(3), &json!(3), &json!(0))
    );
    let told = desk
        .post("/dead-jobs/discard?dry_run=true", json!({ "all": true }))
        .await;
    assert_eq!(told.expect(200)["discarded"], 4);
    assert_eq!(groups(&desk).await["total_jobs"], 4);
}

#[tokio::test]
async fn a_group_goes_back_to_work_at_the_rate_that_was_asked_for() {
    let desk = desk().await;
    let ids = four_dead(&desk).await;
    let body = json!({ "group": group_of(&desk, 3).await, "rate": 0.5 });
    let done = desk.post("/dead-jobs/retry", body).await.expect(200);
    assert_eq!((&done["retried"], &done["left"]), (&json!(3), &json!(0)));
    let mut jobs = Vec::new();
    for id in &ids[..3] {
        jobs.push(desk.get(&format!("/jobs/{id}")).await.expect(200));
    }
    for job in &jobs {
        assert_eq!(
            (&job["state"], &job["attempt"], &job["error"]),
            (&json!("queued"), &json!(0), &json!(null))
        );
    }
    for pair in jobs.windows(2) {
        let apart = (run_at(&pair[1]) - run_at(&pair[0])).num_milliseconds();
        assert_eq!(apart, 2000);
    }
    let ends: DateTime<Utc> = done["ends_at"].as_str().unwrap().parse().unwrap();
    assert!((ends - run_at(&jobs[2])).num_milliseconds() <= 2000);
    assert_eq!(groups(&desk).await["total_jobs"], 1);
    let events = desk.get("/events?kind=dead_jobs.retried").await.expect(200);
    assert_eq!(events["data"][0]["data"]["outcome"]["retried"], 3);
}

#[tokio::test]
async fn what_cannot_go_back_is_skipped_and_counted() {
    let desk = desk().await;
    let sealed = || {
        Some(SealedArgs {
            bytes: vec![1],
            key_id: "k".into(),
        })
    };
    let key = |key: &str| NewJob {
        dedupe_key: Some(format!("{}:{key}", desk.org)),
        ..noop(&desk)
    };
    let gone = die(
        &desk,
        NewJob {
            sealed: sealed(),
            ..noop(&desk)
        },
        "no",
    )
    .await;
    // A day later its secret is emptied; so does a discard.
    desk.post(&format!("/jobs/{gone}/discard"), json!({}))
        .await
        .expect(200);
    desk.forget_discard(gone).await;
    let older = die(&desk, key("same"), "no").await;
    let newer = die(&desk, key("same"), "no").await;
    die(&desk, key("open"), "no").await;
    let tx = desk.store.begin().await.unwrap();
    desk.store
        .jobs()
        .enqueue(&tx, vec![key("open")])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let told = desk
        .post("/dead-jobs/retry", json!({ "all": true }))
        .await
        .expect(200);
    assert_eq!(
        (
            &told["matched"],
            &told["retried"],
            &told["left"],
            &told["skipped"]
        ),
        (
            &json!(4),
            &json!(1),
            &json!(0),
            &json!({ "secret_gone": 1, "already_open": 1, "superseded": 1 })
        )
    );
    let state =
        async |id: JobId| desk.get(&format!("/jobs/{id}")).await.expect(200)["state"].clone();
    assert_eq!(
        (state(older).await, state(newer).await),
        (json!("failed"), json!("queued"))
    );
}

#[tokio::test]
async fn a_repeated_request_is_answered_what_the_first_one_did() {
    let desk = desk().await;
    four_dead(&desk).await;
    let send = async |path: &str, body: Value| {
        let request = desk
            .request(&desk.owner, Method::POST, path)
            .header("content-type", "application/json")
            .header("idempotency-key", "once");
        let body = axum::body::Body::from(body.to_string());
        desk.send(request.body(body).unwrap()).await.expect(200)
    };
    let group = group_of(&desk, 3).await;
    let first = send("/dead-jobs/retry", json!({ "group": group })).await;
    assert_eq!(first["retried"], 3);
    assert_eq!(
        send("/dead-jobs/retry", json!({ "group": group })).await,
        first
    );
    let first = send("/dead-jobs/discard", json!({ "all": true })).await;
    assert_eq!(first["discarded"], 1);
    assert_eq!(
        send("/dead-jobs/discard", json!({ "all": true })).await,
        first
    );
    let events = desk
        .get("/events?kind=dead_jobs.discarded")
        .await
        .expect(200);
    assert_eq!(events["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn discarded_jobs_stay_readable() {
    let desk = desk().await;
    let ids = four_dead(&desk).await;
    let body = json!({ "group": group_of(&desk, 1).await });
    let done = desk.post("/dead-jobs/discard", body).await.expect(200);
    assert_eq!(
        (&done["matched"], &done["discarded"], &done["left"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let job = desk.get(&format!("/jobs/{}", ids[3])).await.expect(200);
    assert_eq!(job["state"], "failed");
    assert!(job["discarded_at"].is_string());
    assert_eq!(groups(&desk).await["total_groups"], 1);
}

#[tokio::test]
async fn with_dead_letters_off_a_job_that_gives_up_is_discarded_at_once() {
    let desk = desk().await;
    let off = json!({ "jobs": { "dead_letters": false } });
    desk.ask(Method::PUT, "/retry-policy", Some(off))
        .await
        .expect(200);
    let job = die(&desk, noop(&desk), "no").await;
    let shown = desk.get(&format!("/jobs/{job}")).await.expect(200);
    assert_eq!(shown["state"], "failed");
    assert_eq!(shown["discarded_at"], shown["finished_at"]);
    assert_eq!(groups(&desk).await["total_jobs"], 0);
    assert_eq!(desk.get("/stats").await.expect(200)["dead"], 0);
}

#[tokio::test]
async fn neither_none_nor_both_of_group_and_all_is_taken() {
    let desk = desk().await;
    for (body, pointers) in [
        (json!({}), vec!["/group"]),
        (json!({ "all": false }), vec!["/group"]),
        (json!({ "group": "x", "all": true }), vec!["/group"]),
        (json!({ "all": "yes", "rate": 0 }), vec!["/all", "/rate"]),
        (
            json!({ "all": true, "rate": 5000, "start_at": "2999-01-01T00:00:00Z" }),
            vec!["/rate", "/start_at"],
        ),
        (
            json!({ "all": true, "start_at": "soon" }),
            vec!["/start_at"],
        ),
    ] {
        let told = desk.post("/dead-jobs/retry", body.clone()).await.pointers();
        assert_eq!(told, pointers, "{body}");
    }
    desk.post("/dead-jobs/discard", json!({}))
        .await
        .problem(422, "validation");
    let wrong = desk
        .post("/dead-jobs/retry?dry_run=maybe", json!({ "all": true }))
        .await;
    assert_eq!(wrong.parameters(), ["dry_run"]);
    assert_eq!(desk.get("/dead-jobs?limit=0").await.parameters(), ["limit"]);
}

#[tokio::test]
async fn another_organizations_dead_jobs_are_out_of_reach() {
    let desk = desk().await;
    four_dead(&desk).await;
    let group = group_of(&desk, 3).await;
    for body in [json!({ "group": group }), json!({ "all": true })] {
        for path in ["/dead-jobs/retry", "/dead-jobs/discard"] {
            let told = desk
                .ask_as(&desk.stranger, Method::POST, path, Some(body.clone()))
                .await;
            assert_eq!(told.expect(200)["matched"], 0, "{path}");
        }
    }
    assert_eq!(groups(&desk).await["total_jobs"], 4);
}

#[tokio::test]
async fn a_member_retries_many_and_only_an_admin_discards_many() {
    let desk = desk().await;
    let ask = async |path: &str| {
        let body = Some(json!({ "all": true }));
        desk.ask_as(&desk.member, Method::POST, path, body)
            .await
            .status
            .as_u16()
    };
    assert_eq!(ask("/dead-jobs/retry").await, 200);
    assert_eq!(ask("/dead-jobs/discard").await, 403);
}

#[tokio::test]
async fn a_host_that_fails_is_shown_to_those_who_have_to_do_with_it() {
    let desk = desk().await;
    let fail = async |origin: &str| {
        let change = |row: &mut patchbay_core::breaker::Breaker, now| {
            (0..patchbay_core::breaker::FAILURES).any(|_| row.failed(now, false, "it answers 503"))
        };
        desk.store
            .change_breaker("square", origin, change)
            .await
            .unwrap();
    };
    fail("https://connect.squareup.com").await;
    fail("https://somebody.example").await;
    assert_eq!(desk.get("/breakers").await.expect(200)["data"], json!([]));
    desk.active_connection().await;
    let shown = desk.get("/breakers").await.expect(200);
    let shown = shown["data"].as_array().unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (&shown[0]["origin"], &shown[0]["state"], &shown[0]["reason"]),
        (
            &json!("https://connect.squareup.com"),
            &json!("open"),
            &json!("it answers 503")
        )
    );
}
