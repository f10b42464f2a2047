//! `Idempotency-Key`: a repeat gets what the first request made.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::desk::{SECRET, desk};

fn square() -> Value {
    json!({ "provider": "square", "credential": { "access_token": SECRET } })
}

#[tokio::test]
async fn a_repeat_renders_the_same_connection_and_job_anew() {
    let desk = desk().await;
    let first = desk
        .post_once("/connections", "k1", &square())
        .await
        .expect(202);
    let id = first["connection"]["id"].as_str().unwrap();
    desk.pass_test(id.parse().unwrap(), first["job"]["id"].as_str().unwrap())
        .await;
    let second = desk
        .post_once("/connections", "k1", &square())
        .await
        .expect(200);
    assert_eq!(second["connection"]["id"], first["connection"]["id"]);
    assert_eq!(second["job"]["id"], first["job"]["id"]);
    assert_eq!(
        (&second["connection"]["status"], &second["job"]["state"]),
        (&json!("active"), &json!("succeeded"))
    );
}

#[tokio::test]
async fn another_body_with_the_same_key_is_refused() {
    let desk = desk().await;
    let path = format!("/connections/{}/sync", desk.active_connection().await);
    desk.post_once(&path, "k1", &json!({ "streams": ["catalog"] }))
        .await
        .expect(202);
    let other = desk
        .post_once(&path, "k1", &json!({ "streams": ["sales"] }))
        .await;
    other.problem(422, "idempotency-key-reused");
    // The key belongs to its route: elsewhere it is a new one.
    let check = path.replace("/sync", "/check");
    desk.post_once(&check, "k1", &json!({})).await.expect(202);
}

#[tokio::test]
async fn twins_at_the_same_time_are_one_job() {
    let desk = desk().await;
    let path = format!("/connections/{}/test", desk.active_connection().await);
    let body = json!({});
    let twins = (0..8).map(|_| desk.post_once(&path, "twin", &body));
    let answers = futures::future::join_all(twins).await;
    let ids: std::collections::HashSet<String> = answers
        .into_iter()
        .map(|answer| answer.expect(202)["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(desk.store.jobs_active(desk.org, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let desk = desk().await;
    let path = format!("/connections/{}/sync", desk.active_connection().await);
    desk.post_once(&path, "k1", &json!({ "streams": ["weather"] }))
        .await
        .problem(422, "validation");
    desk.post_once(&path, "k1", &json!({ "streams": ["catalog"] }))
        .await
        .expect(202);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let desk = desk().await;
    let path = format!("/connections/{}/test", desk.active_connection().await);
    let first = desk.post_once(&path, "k1", &json!({})).await.expect(202);
    desk.clock.advance(TimeDelta::hours(25));
    let second = desk.post_once(&path, "k1", &json!({})).await.expect(202);
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn forgotten_keys_are_removed_and_no_others() {
    let desk = desk().await;
    let path = format!("/connections/{}/test", desk.active_connection().await);
    for key in ["old1", "old2", "old3"] {
        desk.post_once(&path, key, &json!({})).await.expect(202);
    }
    desk.clock.advance(TimeDelta::hours(25));
    desk.post_once(&path, "new", &json!({})).await.expect(202);
    let mut pruned = Vec::new();
    for _ in 0..3 {
        pruned.push(desk.store.idempotency_prune(2).await.unwrap());
    }
    assert_eq!(pruned, [2, 1, 0]);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let desk = desk().await;
    let path = format!("/connections/{}/test", desk.active_connection().await);
    for key in ["", "with space", &"x".repeat(256)] {
        desk.post_once(&path, key, &json!({}))
            .await
            .problem(400, "invalid-idempotency-key");
    }
}

#[tokio::test]
async fn a_repeated_cancel_is_no_refusal() {
    let desk = desk().await;
    let job = desk.noop_job().await.id;
    let path = format!("/jobs/{job}/cancel");
    for _ in 0..2 {
        let answer = desk.post_once(&path, "k1", &json!({})).await.expect(200);
        assert_eq!(answer["state"], "cancelled");
    }
    desk.post(&path, json!({})).await.problem(409, "job-state");
}
