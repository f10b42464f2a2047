//! Requests for syncs.

use patchbay_core::connection::ConnectionStatus;
use serde_json::{Value, json};

use crate::desk::desk;

fn jobs(answer: &Value) -> &Vec<Value> {
    answer["jobs"].as_array().unwrap()
}

#[tokio::test]
async fn each_stream_gets_a_job_in_its_own_lane() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let path = format!("/connections/{id}/sync");
    let all = desk.post(&path, json!({})).await.expect(202);
    let streams: Vec<&str> = jobs(&all)
        .iter()
        .map(|job| job["args"]["stream"].as_str().unwrap())
        .collect();
    let provider = desk.get("/providers/square").await.expect(200);
    let known: Vec<&str> = provider["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["key"].as_str().unwrap())
        .collect();
    assert_eq!(streams, known);
    assert_eq!(
        jobs(&all)[0]["args"]["pull"],
        json!({ "mode": "incremental" })
    );
    let rows = desk.store.jobs_active(desk.org, 10).await.unwrap();
    let row = rows
        .iter()
        .find(|row| row.args["stream"] == "catalog")
        .unwrap();
    assert_eq!(row.lane.as_deref(), Some(format!("{id}:catalog").as_str()));
}

#[tokio::test]
async fn the_same_request_while_it_waits_is_the_same_job() {
    let desk = desk().await;
    let path = format!("/connections/{}/sync", desk.active_connection().await);
    let body = json!({ "streams": ["sales", "sales"], "mode": "range", "preset": "last_7_days" });
    let first = desk.post(&path, body.clone()).await.expect(202);
    let second = desk.post(&path, body).await.expect(202);
    assert_eq!(jobs(&first).len(), 1);
    assert_eq!(jobs(&first)[0]["id"], jobs(&second)[0]["id"]);
    let other = desk
        .post(&path, json!({ "streams": ["sales"] }))
        .await
        .expect(202);
    assert_ne!(jobs(&first)[0]["id"], jobs(&other)[0]["id"]);
}

#[tokio::test]
async fn a_range_is_carried_as_the_days_or_times_that_were_asked_for() {
    let desk = desk().await;
    let path = format!("/connections/{}/sync", desk.active_connection().await);
    let body =
        json!({ "streams": ["sales"], "mode": "range", "from": "2024-01-01", "to": "2024-01-31" });
    let answer = desk.post(&path, body).await.expect(202);
    let pull = &jobs(&answer)[0]["args"]["pull"];
    assert_eq!(
        *pull,
        json!({ "mode": "range", "from": "2024-01-01", "to": "2024-01-31" })
    );
    let body = json!({ "streams": ["sales"], "mode": "range", "from": "2024-01-01T00:00:00+01:00", "to": "2024-01-31" });
    let answer = desk.post(&path, body).await.expect(202);
    assert_eq!(
        jobs(&answer)[0]["args"]["pull"],
        json!({ "mode": "range", "from": "2023-12-31T23:00:00Z", "to": "2024-01-31" })
    );
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let desk = desk().await;
    let path = format!("/connections/{}/sync", desk.active_connection().await);
    for (body, pointers) in [
        (
            json!({ "streams": ["catalog", "weather"] }),
            vec!["/streams/1"],
        ),
        (json!({ "streams": [] }), vec!["/streams"]),
        (
            json!({ "streams": "catalog", "speed": 9 }),
            vec!["/speed", "/streams"],
        ),
        (json!({ "mode": "sideways" }), vec!["/mode"]),
        (
            json!({ "mode": "range", "streams": ["sales"] }),
            vec!["/from"],
        ),
        (
            json!({ "mode": "range", "streams": ["sales"], "from": "2024-02-01", "to": "2024-01-01" }),
            vec!["/from"],
        ),
        (
            json!({ "mode": "range", "streams": ["nope"], "from": "2999-01-01" }),
            vec!["/from", "/streams/0"],
        ),
        (
            json!({ "mode": "range", "streams": ["sales"], "from": "x", "to": "2999-01-01" }),
            vec!["/from", "/to"],
        ),
        (
            json!({ "from": "2024-01-01", "preset": "last_24h" }),
            vec!["/from", "/preset"],
        ),
        (
            json!({ "mode": "range", "streams": ["catalog"], "preset": "last_24h" }),
            vec!["/streams/0"],
        ),
    ] {
        assert_eq!(
            desk.post(&path, body.clone()).await.pointers(),
            pointers,
            "{body}"
        );
    }
    assert!(
        desk.store
            .jobs_active(desk.org, 10)
            .await
            .unwrap()
            .is_empty(),
        "a refused request left a job behind"
    );
}

#[tokio::test]
async fn the_status_decides_whether_a_sync_starts_waits_or_is_refused() {
    for (status, expected) in [
        (ConnectionStatus::Pending, Err(())),
        (ConnectionStatus::Active, Ok("queued")),
        (ConnectionStatus::Error, Ok("parked")),
        (ConnectionStatus::Expired, Ok("parked")),
        (ConnectionStatus::Disabled, Err(())),
        (ConnectionStatus::Disconnected, Err(())),
    ] {
        let desk = desk().await;
        let id = desk.connection(status).await;
        let answer = desk
            .post(
                &format!("/connections/{id}/sync"),
                json!({ "streams": ["catalog"] }),
            )
            .await;
        match expected {
            Ok(state) => assert_eq!(jobs(&answer.expect(202))[0]["state"], state, "{status:?}"),
            Err(()) => {
                answer.problem(409, "connection-state");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_switched_off_is_left_out_and_refused_by_name() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let off = json!({ "capabilities_off": ["sync_sales"] });
    desk.ask(
        axum::http::Method::PATCH,
        &format!("/connections/{id}"),
        Some(off),
    )
    .await
    .expect(200);
    let path = format!("/connections/{id}/sync");
    let all = desk.post(&path, json!({})).await.expect(202);
    assert!(
        jobs(&all)
            .iter()
            .all(|job| job["args"]["stream"] != "sales"),
        "{all:#}"
    );
    assert_eq!(
        desk.post(&path, json!({ "streams": ["sales"] }))
            .await
            .pointers(),
        ["/streams/0"]
    );
}
