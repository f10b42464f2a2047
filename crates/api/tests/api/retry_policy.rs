//! The retry policy: shown, changed, refused.

use axum::http::Method;
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

async fn put(desk: &Desk, body: Value) -> crate::desk::Answer {
    desk.ask(Method::PUT, "/retry-policy", Some(body)).await
}

async fn changes(desk: &Desk) -> Vec<Value> {
    let events = desk.get("/events?kind=retry_policy.changed").await;
    events.expect(200)["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn without_a_change_the_usual_policies_are_in_force() {
    let desk = desk().await;
    let shown = desk.get("/retry-policy").await.expect(200);
    assert_eq!(
        shown["jobs"],
        json!({
            "max_retries": 3, "kind": "exponential", "base_seconds": 5.0, "cap_seconds": 60.0,
            "jitter": true, "dead_letters": true, "delays_seconds": [5.0, 10.0, 20.0],
            "updated_at": null, "updated_by": null,
        })
    );
    assert_eq!(
        (
            &shown["webhooks"]["kind"],
            &shown["webhooks"]["delays_seconds"]
        ),
        (
            &json!("standard_webhooks"),
            &json!([
                5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0
            ])
        )
    );
}

#[tokio::test]
async fn what_is_left_out_stays_and_a_change_stands_in_the_activity_log() {
    let desk = desk().await;
    put(
        &desk,
        json!({ "jobs": { "max_retries": 5, "kind": "linear", "cap_seconds": 12 } }),
    )
    .await
    .expect(200);
    let shown = put(&desk, json!({ "jobs": { "jitter": false } }))
        .await
        .expect(200);
    assert_eq!(
        shown["jobs"]["delays_seconds"],
        json!([5.0, 10.0, 12.0, 12.0, 12.0])
    );
    assert_eq!(shown["jobs"]["jitter"], false);
    assert!(
        shown["jobs"]["updated_by"]
            .as_str()
            .unwrap()
            .starts_with("api_key:")
    );
    assert_eq!(shown["webhooks"]["updated_at"], json!(null));
    let changes = changes(&desk).await;
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (
            &changes[1]["data"]["before"]["max_retries"],
            &changes[1]["data"]["after"]["max_retries"]
        ),
        (&json!(3), &json!(5))
    );
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_no_event() {
    let desk = desk().await;
    put(&desk, json!({})).await.expect(200);
    put(&desk, json!({ "jobs": { "max_retries": 3 } }))
        .await
        .expect(200);
    assert_eq!(changes(&desk).await, Vec::<Value>::new());
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let desk = desk().await;
    for (body, pointers) in [
        (
            json!({ "jobs": { "max_retries": 21, "kind": "sideways", "base_seconds": 0, "jitter": 1 }, "mail": {} }),
            vec![
                "/jobs/base_seconds",
                "/jobs/jitter",
                "/jobs/kind",
                "/jobs/max_retries",
                "/mail",
            ],
        ),
        (
            json!({ "jobs": { "cap_seconds": 1 }, "webhooks": { "base_seconds": 90000, "max_retries": -1 } }),
            vec![
                "/webhooks/base_seconds",
                "/webhooks/max_retries",
                "/jobs/cap_seconds",
            ],
        ),
        (
            json!({ "jobs": { "base_seconds": 61, "kind": "standard_webhooks" } }),
            vec!["/jobs/base_seconds", "/jobs/kind"],
        ),
    ] {
        let mut told = put(&desk, body.clone()).await.pointers();
        let mut pointers: Vec<String> = pointers.into_iter().map(str::to_owned).collect();
        told.sort();
        pointers.sort();
        assert_eq!(told, pointers, "{body}");
    }
    let shown = desk.get("/retry-policy").await.expect(200);
    assert_eq!(shown["jobs"]["updated_at"], json!(null));
}

#[tokio::test]
async fn a_policy_belongs_to_one_organization() {
    let desk = desk().await;
    put(&desk, json!({ "jobs": { "max_retries": 9 } }))
        .await
        .expect(200);
    let theirs = desk
        .ask_as(&desk.stranger, Method::GET, "/retry-policy", None)
        .await;
    assert_eq!(theirs.expect(200)["jobs"]["max_retries"], 3);
}

#[tokio::test]
async fn jobs_show_the_attempts_that_the_policy_gives_them() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    put(&desk, json!({ "jobs": { "max_retries": 9 } }))
        .await
        .expect(200);
    let shown = desk.get(&format!("/jobs/{}", job.id)).await.expect(200);
    assert_eq!(shown["max_attempts"], 10);
    let connection = desk.active_connection().await;
    let test = desk
        .post(&format!("/connections/{connection}/check"), json!({}))
        .await;
    assert_eq!(test.expect(202)["max_attempts"], 1, "a number of its own");
}
