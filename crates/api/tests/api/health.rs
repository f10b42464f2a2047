//! Checks of connections: their interval, their numbers, and failures that say what to do.

use std::time::Duration;

use axum::http::Method;
use patchbay_core::{
    connection::ConnectionStatus,
    failure::{Failure, FailureKind},
    ids::ConnectionId,
    job::Settle,
    job_args::CheckReason,
    store::health::CheckResult,
};
use serde_json::json;

use crate::desk::{Desk, desk};

async fn record(desk: &Desk, id: ConnectionId, minutes_ago: i64, failure: Option<Failure>) {
    let now = desk.store.jobs().now().await.unwrap();
    let result = CheckResult {
        org: desk.org,
        connection: id,
        at: now - chrono::TimeDelta::minutes(minutes_ago),
        reason: CheckReason::Scheduled,
        response_ms: 120,
        failure,
        not_before: None,
    };
    let tx = desk.store.begin().await.unwrap();
    let held = desk.store.lock_connections(&tx, &[id]).await.unwrap();
    desk.store
        .record_checks(&tx, &held, vec![result])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn down() -> Failure {
    Failure::new(FailureKind::ProviderDown, "Square is down.", "Wait.")
}

#[tokio::test]
async fn the_interval_of_checks_is_shown_and_changed() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let path = format!("/connections/{id}");
    let shown = desk.get(&path).await.expect(200);
    assert_eq!(shown["health_interval_minutes"], 5);
    let change = |minutes: serde_json::Value| json!({ "health_interval_minutes": minutes });
    let changed = desk
        .ask(Method::PATCH, &path, Some(change(json!(60))))
        .await
        .expect(200);
    assert_eq!(changed["connection"]["health_interval_minutes"], 60);
    for wrong in [json!(0), json!(61), json!("5"), json!(1.5)] {
        let answer = desk.ask(Method::PATCH, &path, Some(change(wrong))).await;
        assert_eq!(answer.pointers(), ["/health_interval_minutes"]);
    }
    let shown = desk.get(&path).await.expect(200);
    assert_eq!(shown["health_interval_minutes"], 60);
}

#[tokio::test]
async fn numbers_of_a_window_come_from_its_checks() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let path = format!("/connections/{id}/health");
    for minutes_ago in [20, 15] {
        record(&desk, id, minutes_ago, None).await;
    }
    record(&desk, id, 10, Some(down())).await;
    record(&desk, id, 5, None).await;
    for window in ["1h", "24h", "7d", "30d"] {
        let health = desk
            .get(&format!("{path}?window={window}"))
            .await
            .expect(200);
        assert_eq!(health["window"], window);
        assert_eq!(
            (&health["checks"], &health["failed"], &health["error_rate"]),
            (&json!(4), &json!(1), &json!(0.25))
        );
        assert_eq!(health["latency"]["p50_ms"], 120);
        assert_eq!(health["latency"]["max_ms"], 120);
        assert!(health["next_check_at"].is_string());
    }
    let health = desk.get(&path).await.expect(200);
    assert_eq!(health["window"], "24h");
    assert_eq!(health["recent"].as_array().unwrap().len(), 4);
    assert_eq!(health["recent"][0]["ok"], true);
    let error = &health["errors"][0];
    assert_eq!(error["failure"]["kind"], "provider_down");
    let next = &error["failure"]["next_action"];
    assert_eq!(next["kind"], "wait_until");
    assert!(next["until"].is_string(), "the next check is waited for");
    assert!(!error["failure"]["impact"].as_str().unwrap().is_empty());
    let row = desk.get(&format!("/connections/{id}")).await.expect(200);
    assert_eq!(
        row["last_checked_at"], row["last_success_at"],
        "a check that passes shows on the connection"
    );
    let wrong = desk.get(&format!("{path}?window=2d")).await;
    assert_eq!(wrong.parameters(), ["window"]);
}

#[tokio::test]
async fn check_all_asked_for_twice_is_one_job() {
    let desk = desk().await;
    let nothing = desk.post("/check-all", json!({})).await.expect(200);
    assert_eq!(nothing["jobs"], json!([]));
    desk.active_connection().await;
    let first = desk.post("/check-all", json!({})).await.expect(202);
    let second = desk.post("/check-all", json!({})).await.expect(202);
    let jobs = first["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0]["kind"], "health_batch");
    assert_eq!(jobs[0]["id"], second["jobs"][0]["id"]);
    desk.ask_as(&desk.viewer, Method::POST, "/check-all", None)
        .await
        .problem(403, "forbidden");
    let theirs = desk
        .ask_as(&desk.stranger, Method::POST, "/check-all", None)
        .await
        .expect(200);
    assert_eq!(theirs["jobs"], json!([]));
}

#[tokio::test]
async fn what_is_switched_off_is_not_among_all() {
    let desk = desk().await;
    desk.connection(ConnectionStatus::Disabled).await;
    let nothing = desk.post("/check-all", json!({})).await.expect(200);
    assert_eq!(nothing["jobs"], json!([]));
}

#[tokio::test]
async fn totals_count_connections_that_are_not_disconnected() {
    let desk = desk().await;
    desk.connection(ConnectionStatus::Disconnected).await;
    desk.connection(ConnectionStatus::Error).await;
    let totals = desk.get("/stats").await.expect(200)["totals"].clone();
    let expected = json!({
        "total": 1, "active": 0, "error": 1, "expired": 0, "disabled": 0, "pending": 0,
        "healthy": 0, "degraded": 0, "failing": 0,
    });
    assert_eq!(totals, expected);
}

#[tokio::test]
async fn a_refused_credential_says_what_to_do() {
    let desk = desk().await;
    let id = desk.connection(ConnectionStatus::Error).await;
    let row = desk.get(&format!("/connections/{id}")).await.expect(200);
    assert_eq!(row["last_error"]["next_action"]["kind"], "set_credential");
    assert_eq!(row["error_count"], 1);
}

#[tokio::test]
async fn a_job_that_is_tried_again_says_when() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let running = desk.claim(job.id).await;
    let failure = Failure::new(FailureKind::Invalid, "what", "do");
    let retry = Settle::Retry {
        delay: Duration::from_secs(60),
        failure: failure.clone(),
    };
    desk.end(&running, retry).await;
    let shown = desk.get(&format!("/jobs/{}", job.id)).await.expect(200);
    let next = &shown["error"]["next_action"];
    assert_eq!(
        (&next["kind"], &next["until"]),
        (&json!("wait_until"), &shown["run_at"])
    );
}

#[tokio::test]
async fn a_job_that_gave_up_says_what_to_correct() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let running = desk.claim(job.id).await;
    let failure = Failure::new(FailureKind::Invalid, "what", "do");
    desk.end(&running, Settle::Fail { failure }).await;
    let shown = desk.get(&format!("/jobs/{}", job.id)).await.expect(200);
    assert_eq!(shown["error"]["next_action"]["kind"], "fix_field");
}
