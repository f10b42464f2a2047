//! Connections: made, read, changed, switched, disconnected.

use axum::http::Method;
use patchbay_core::{
    connection::ConnectionStatus,
    failure::{Failure, FailureKind},
    job::Settle,
};
use serde_json::json;

use crate::desk::{SECRET, desk};

#[tokio::test]
async fn a_new_connection_is_pending_until_its_test_has_passed() {
    let desk = desk().await;
    let body = json!({ "provider": "square", "name": "Main till", "credential": { "access_token": SECRET } });
    let made = desk.post("/connections", body).await.expect(202);
    let (connection, job) = (&made["connection"], &made["job"]);
    assert_eq!(
        (&connection["status"], &connection["name"]),
        (&json!("pending"), &json!("Main till"))
    );
    assert_eq!(
        (&job["kind"], &job["queue"], &job["state"]),
        (
            &json!("connection_test"),
            &json!("interactive"),
            &json!("queued")
        )
    );
    assert_eq!(job["connection_id"], connection["id"]);

    let id = connection["id"].as_str().unwrap();
    desk.pass_test(id.parse().unwrap(), job["id"].as_str().unwrap())
        .await;
    let read = desk.get(&format!("/connections/{id}")).await.expect(200);
    assert_eq!(
        (&read["status"], &read["health"], &read["account_key"]),
        (&json!("active"), &json!("healthy"), &json!("M1"))
    );
    assert_eq!(read["credential"]["version"], 1);
    assert_eq!(read["credential"]["mask"]["access_token"], "••••6789");
    let kinds = desk
        .get(&format!("/events?connection={id}"))
        .await
        .expect(200);
    let kinds: Vec<_> = kinds["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["connection.activated", "connection.created"]);
}

#[tokio::test]
async fn a_credential_stands_nowhere_in_clear() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let body = json!({ "credential": { "access_token": SECRET } });
    desk.ask(
        Method::PUT,
        &format!("/connections/{connection}/credential"),
        Some(body),
    )
    .await
    .expect(202);
    for path in ["/connections", "/jobs", "/events", "/stats"] {
        let answer = desk.get(path).await.expect(200).to_string();
        assert!(!answer.contains(SECRET), "{path}: {answer}");
    }
    // Nor in any table. (What is not secret is found there, so the search can see.)
    assert!(desk.holds("connection_test").await);
    assert!(!desk.holds(SECRET).await);
}

#[tokio::test]
async fn a_provider_that_allows_one_connection_gets_no_second() {
    let desk = desk().await;
    let first = desk.connection(ConnectionStatus::Pending).await;
    let body = json!({ "provider": "square", "credential": { "access_token": SECRET } });
    let problem = desk
        .post("/connections", body.clone())
        .await
        .problem(409, "connection-exists");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains(&first.to_string()),
        "{problem:#}"
    );
    desk.ask(Method::DELETE, &format!("/connections/{first}"), None)
        .await
        .expect(200);
    desk.post("/connections", body).await.expect(202);
}

#[tokio::test]
async fn a_wait_answers_with_the_end_of_the_test() {
    let desk = desk().await;
    let body = json!({ "provider": "square", "credential": { "access_token": SECRET } });
    let worker = async {
        let job = loop {
            if let Some(job) = desk.store.jobs_active(desk.org, 1).await.unwrap().pop() {
                break desk.claim(job.id).await;
            }
            tokio::task::yield_now().await;
        };
        let failure = Failure::new(
            FailureKind::Auth,
            "Square refused the token",
            "Paste a valid token",
        );
        desk.end(&job, Settle::Fail { failure }).await;
    };
    let (answer, ()) = tokio::join!(desk.post("/connections?wait=30", body), worker);
    let answer = answer.expect(200);
    assert_eq!(answer["job"]["state"], "failed");
    assert_eq!(
        answer["job"]["error"]["message"],
        "Square refused the token"
    );
    assert_eq!(answer["connection"]["status"], "pending");
}

#[tokio::test]
async fn a_new_name_counts_at_once_and_a_new_config_after_its_test() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let path = format!("/connections/{id}");
    let body = json!({ "name": "Second till", "capabilities_off": ["sync_sales"] });
    let named = desk.ask(Method::PATCH, &path, Some(body)).await.expect(200);
    assert_eq!(named["job"], json!(null));
    assert_eq!(named["connection"]["name"], "Second till");
    assert_eq!(
        named["connection"]["capabilities_off"],
        json!(["sync_sales"])
    );

    let before = named["connection"]["config"].clone();
    let body = json!({ "config": { "environment": "sandbox" } });
    let changed = desk.ask(Method::PATCH, &path, Some(body)).await.expect(202);
    assert_eq!(
        changed["connection"]["config"], before,
        "the old config stays in force until the test has passed"
    );
    assert_eq!(changed["job"]["args"]["config"]["environment"], "sandbox");

    let wrong = json!({ "capabilities_off": ["fly"], "config": { "environment": "moon" } });
    assert_eq!(
        desk.ask(Method::PATCH, &path, Some(wrong)).await.pointers(),
        ["/capabilities_off/0", "/config/environment"]
    );
    let wrong = json!({ "config": { "environment": "moon", "colour": 1 } });
    assert_eq!(
        desk.ask(Method::PATCH, &path, Some(wrong)).await.pointers(),
        ["/config/colour", "/config/environment"]
    );
}

#[tokio::test]
async fn a_pending_connection_without_a_credential_can_be_edited() {
    let desk = desk().await;
    let id = desk.connection(ConnectionStatus::Pending).await;
    let path = format!("/connections/{id}");
    let body = json!({ "config": { "environment": "sandbox" } });
    let edited = desk.ask(Method::PATCH, &path, Some(body)).await.expect(200);
    assert_eq!(edited["connection"]["config"]["environment"], "sandbox");
    let problem = desk
        .post(&format!("{path}/test"), json!({}))
        .await
        .problem(409, "connection-state");
    assert!(
        problem["detail"].as_str().unwrap().contains("credential"),
        "{problem:#}"
    );
}

#[tokio::test]
async fn disabling_parks_what_waits_and_enabling_lets_it_go_on() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let sync = json!({ "streams": ["catalog"] });
    let jobs = desk
        .post(&format!("/connections/{id}/sync"), sync.clone())
        .await
        .expect(202);
    let job = format!("/jobs/{}", jobs["jobs"][0]["id"].as_str().unwrap());
    let off = desk
        .post(&format!("/connections/{id}/disable"), json!({}))
        .await
        .expect(200);
    assert_eq!(off["status"], "disabled");
    assert_eq!(desk.get(&job).await.expect(200)["state"], "parked");
    desk.post(&format!("/connections/{id}/sync"), sync)
        .await
        .problem(409, "connection-state");
    let on = desk
        .post(&format!("/connections/{id}/enable"), json!({}))
        .await
        .expect(200);
    assert_eq!(on["status"], "active");
    assert_eq!(desk.get(&job).await.expect(200)["state"], "queued");
}

#[tokio::test]
async fn disconnecting_empties_the_credential_and_cancels_open_jobs() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let jobs = desk
        .post(
            &format!("/connections/{id}/sync"),
            json!({ "streams": ["catalog"] }),
        )
        .await
        .expect(202);
    let path = format!("/connections/{id}");
    for _ in 0..2 {
        let gone = desk.ask(Method::DELETE, &path, None).await.expect(200);
        assert_eq!(gone["status"], "disconnected");
    }
    let tombstone = &desk.get(&path).await.expect(200)["credential"];
    assert_eq!(tombstone["status"], "revoked", "who and when stay");
    assert!(tombstone["revoked_at"].is_string() && tombstone["revoked_by"].is_string());
    let job = format!("/jobs/{}", jobs["jobs"][0]["id"].as_str().unwrap());
    assert_eq!(desk.get(&job).await.expect(200)["state"], "cancelled");
    desk.get(&format!("{path}/records?stream=catalog"))
        .await
        .expect(200);
    let history = desk.store.credential_history(desk.org, id).await.unwrap();
    assert!(
        history
            .iter()
            .all(|row| row.sealed.is_none() && row.revoked_at.is_some()),
        "{history:?}"
    );
    for (method, rest, body) in [
        (Method::POST, "/enable", json!({})),
        (Method::POST, "/test", json!({})),
        (Method::POST, "/sync", json!({})),
        (Method::PATCH, "", json!({ "name": "x" })),
    ] {
        desk.ask(method, &format!("{path}{rest}"), Some(body))
            .await
            .problem(409, "connection-state");
    }
    // A credential of its account brings it back, unless another one took its place.
    let credential = json!({ "credential": { "access_token": SECRET } });
    let credential_path = format!("{path}/credential");
    let asked = desk
        .ask(Method::PUT, &credential_path, Some(credential.clone()))
        .await
        .expect(202);
    assert_eq!(
        asked["connection"]["status"], "disconnected",
        "until it passed"
    );
    assert_eq!(asked["job"]["state"], "queued");
    // Whoever disconnects it meanwhile is obeyed.
    desk.ask(Method::DELETE, &path, None).await.expect(200);
    let job = format!("/jobs/{}", asked["job"]["id"].as_str().unwrap());
    assert_eq!(desk.get(&job).await.expect(200)["state"], "cancelled");
    desk.active_connection().await;
    desk.ask(Method::PUT, &credential_path, Some(credential))
        .await
        .problem(409, "connection-exists");
}

#[tokio::test]
async fn a_dead_test_brings_no_older_credential_back() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let credential = json!({ "credential": { "access_token": SECRET } });
    let asked = desk
        .ask(
            Method::PUT,
            &format!("/connections/{id}/credential"),
            Some(credential),
        )
        .await
        .expect(202);
    let job = asked["job"]["id"].as_str().unwrap();
    let claimed = desk.claim(job.parse().unwrap()).await;
    let failure = Failure::new(FailureKind::ProviderDown, "it is away", "Try again.");
    desk.end(&claimed, Settle::Fail { failure }).await;
    desk.ask(Method::DELETE, &format!("/connections/{id}"), None)
        .await
        .expect(200);
    desk.post(&format!("/jobs/{job}/retry"), json!({}))
        .await
        .problem(409, "job-state");
}

#[tokio::test]
async fn the_list_filters_and_pages() {
    let desk = desk().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(
            desk.connection(ConnectionStatus::Disconnected)
                .await
                .to_string(),
        );
    }
    ids.push(desk.active_connection().await.to_string());
    let mut seen = Vec::new();
    let mut path = "/connections?limit=3".to_owned();
    loop {
        let page = desk.get(&path).await.expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/connections?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    let active = desk
        .get("/connections?status=active&provider=square")
        .await
        .expect(200);
    assert_eq!(active["data"].as_array().unwrap().len(), 1);
    let none = desk.get("/connections?provider=gmail").await.expect(200);
    assert_eq!(none["data"], json!([]));
}

#[tokio::test]
async fn a_check_asked_for_twice_is_one_job() {
    let desk = desk().await;
    let id = desk.active_connection().await;
    let path = format!("/connections/{id}/check");
    let first = desk
        .ask_as(&desk.member, Method::POST, &path, None)
        .await
        .expect(202);
    let second = desk
        .ask_as(&desk.member, Method::POST, &path, None)
        .await
        .expect(202);
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["kind"], "health_check");
    let health = desk
        .get(&format!("/connections/{id}/health"))
        .await
        .expect(200);
    assert_eq!(
        (&health["health"], &health["checks"], &health["uptime"]),
        (&json!("healthy"), &json!(0), &json!(null))
    );
}
