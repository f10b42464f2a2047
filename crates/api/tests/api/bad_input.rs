//! What a wrong request is told: which field, what is allowed, and never its value.

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, SECRET, desk};

fn square() -> Value {
    json!({ "provider": "square", "name": "Main till", "config": {}, "credential": { "access_token": SECRET } })
}

async fn raw(desk: &Desk, kind: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = desk.request(&desk.owner, Method::POST, "/connections");
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    desk.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn an_unknown_provider_is_named_with_those_there_are() {
    let desk = desk().await;
    let mut body = square();
    body["provider"] = json!("squire");
    let problem = desk
        .post("/connections", body)
        .await
        .problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/provider");
    assert!(
        problem["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("square"),
        "{problem:#}"
    );
}

#[tokio::test]
async fn every_field_that_breaks_the_body_is_told_at_once() {
    let desk = desk().await;
    let body = json!({ "provider": 7, "name": "", "config": [], "credential": { "access_token": 5 }, "colour": "red" });
    let pointers = desk.post("/connections", body).await.pointers();
    assert_eq!(
        sorted(pointers),
        [
            "/colour",
            "/config",
            "/credential/access_token",
            "/name",
            "/provider"
        ]
    );
    assert_eq!(
        desk.post("/connections", json!({})).await.pointers(),
        ["/provider"]
    );
}

#[tokio::test]
async fn every_field_that_breaks_the_providers_schema_is_told_at_once() {
    let desk = desk().await;
    let mut body = square();
    body["config"] = json!({ "environment": "moon", "colour": "red" });
    body["credential"] = json!({ "pass/word": "x" });
    let pointers = sorted(desk.post("/connections", body).await.pointers());
    assert_eq!(
        pointers,
        [
            "/config/colour",
            "/config/environment",
            "/credential/access_token",
            "/credential/pass~1word"
        ]
    );
}

#[tokio::test]
async fn errors_of_the_body_and_of_the_provider_are_told_together() {
    let desk = desk().await;
    let body = json!({ "provider": "square", "name": "", "config": { "environment": "moon", "colour": "red" } });
    assert_eq!(
        sorted(desk.post("/connections", body).await.pointers()),
        [
            "/config/colour",
            "/config/environment",
            "/credential/access_token",
            "/name"
        ]
    );
    let body = json!({ "provider": "squire", "name": "", "credential": { "access_token": 1 } });
    assert_eq!(
        sorted(desk.post("/connections", body).await.pointers()),
        ["/credential/access_token", "/name", "/provider"]
    );

    let at = desk.active_connection().await;
    let body = json!({
        "name": "", "config": { "environment": "moon" }, "capabilities_off": ["sync_catalog", "dance"],
        "credential": { "token": "x" }, "colour": "red",
    });
    assert_eq!(
        sorted(
            desk.ask(Method::PATCH, &format!("/connections/{at}"), Some(body))
                .await
                .pointers()
        ),
        [
            "/capabilities_off/1",
            "/colour",
            "/config/environment",
            "/credential/access_token",
            "/credential/token",
            "/name"
        ]
    );
    let sync = format!("/connections/{at}/sync");
    let body = json!({ "streams": [7, "nope"], "mode": "range", "from": "2030-01-01", "to": "x", "colour": 1 });
    assert_eq!(
        sorted(desk.post(&sync, body).await.pointers()),
        ["/colour", "/from", "/streams/0", "/streams/1", "/to"]
    );
    let body = json!({ "streams": ["nope"], "mode": "rnage", "from": "2026-01-01" });
    assert_eq!(
        sorted(desk.post(&sync, body).await.pointers()),
        ["/mode", "/streams/0"]
    );
}

#[tokio::test]
async fn no_refusal_repeats_a_secret() {
    let desk = desk().await;
    let bodies = [
        json!({ "provider": "square", "credential": SECRET }),
        json!({ "provider": "square", "credential": { "access_token": [SECRET] } }),
        json!({ "provider": "square", "config": { "access_token": SECRET } }),
        json!({ "provider": SECRET, "name": { "x": SECRET } }),
        json!([SECRET]),
    ];
    for body in bodies {
        let answer = desk.post("/connections", body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(
            !answer.body.to_string().contains(SECRET),
            "{:#}",
            answer.body
        );
    }
    let broken = raw(
        &desk,
        Some("application/json"),
        format!("{{\"credential\": {SECRET}"),
    )
    .await;
    assert!(
        !broken
            .problem(400, "malformed-json")
            .to_string()
            .contains(SECRET)
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_or_not_said_to_be() {
    let desk = desk().await;
    let problem = raw(&desk, Some("application/json"), "{\"provider\": ")
        .await
        .problem(400, "malformed-json");
    assert!(
        problem["detail"].as_str().unwrap().contains("line 1"),
        "{problem:#}"
    );
    raw(&desk, Some("application/json"), vec![0xff, 0xfe])
        .await
        .problem(400, "malformed-json");
    raw(&desk, Some("application/json"), "[".repeat(100_000))
        .await
        .problem(400, "malformed-json");
    raw(&desk, Some("text/plain"), square().to_string())
        .await
        .problem(415, "unsupported-media-type");
    raw(&desk, None, square().to_string())
        .await
        .problem(415, "unsupported-media-type");
    raw(&desk, Some("application/json; charset=utf-8"), "[]")
        .await
        .problem(422, "validation");
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused() {
    let desk = desk().await;
    let mut body = square();
    body["name"] = json!("x".repeat(1024 * 1024));
    raw(&desk, Some("application/json"), body.to_string())
        .await
        .problem(413, "body-too-large");
    // Without a declared length, by counting.
    let chunks =
        futures::stream::iter((0..2_000).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    raw(&desk, Some("application/json"), Body::from_stream(chunks))
        .await
        .problem(413, "body-too-large");
}

#[tokio::test]
async fn a_nul_character_is_refused_before_the_database_sees_it() {
    let desk = desk().await;
    let mut body = square();
    body["name"] = json!("a\0b");
    assert_eq!(desk.post("/connections", body).await.pointers(), ["/name"]);
    assert_eq!(
        desk.get("/connections?provider=a%00b").await.parameters(),
        ["provider"]
    );
}

#[tokio::test]
async fn malformed_ids_and_unknown_ids() {
    let desk = desk().await;
    for path in [
        "/jobs/7",
        "/connections/not-an-id",
        "/jobs/019ab2c3-7d4e-7f00-8000-00000000000g/logs",
    ] {
        desk.get(path).await.problem(400, "invalid-id");
    }
    let unknown = "019ab2c3-7d4e-7f00-8000-000000000000";
    for path in [
        format!("/jobs/{unknown}"),
        format!("/connections/{unknown}"),
        format!("/jobs/{unknown}/events"),
    ] {
        desk.get(&path).await.problem(404, "not-found");
    }
    desk.get("/providers/squire")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn wrong_query_parameters_are_told_at_once() {
    let desk = desk().await;
    let wrong = desk
        .get("/jobs?state=sleeping&kind=sync&colour=red&limit=many")
        .await
        .parameters();
    assert_eq!(wrong, ["state", "colour", "limit"]);
    assert_eq!(desk.get("/jobs?limit=0").await.parameters(), ["limit"]);
    assert_eq!(desk.get("/jobs?limit=201").await.parameters(), ["limit"]);
    assert_eq!(
        desk.get("/jobs?limit=1&limit=2").await.parameters(),
        ["limit"]
    );
    assert_eq!(
        desk.get("/connections?connection=1").await.parameters(),
        ["connection"]
    );
    let connection = desk.active_connection().await;
    let test = desk
        .post(
            &format!("/connections/{connection}/test?wait=61"),
            json!({}),
        )
        .await;
    assert_eq!(test.parameters(), ["wait"]);
}

#[tokio::test]
async fn a_cursor_of_another_list_or_of_nobody_is_refused() {
    let desk = desk().await;
    for _ in 0..2 {
        desk.noop_job().await;
    }
    let cursor = desk.get("/jobs?limit=1").await.expect(200)["next"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.get(&format!("/jobs?limit=1&cursor={cursor}"))
        .await
        .expect(200);
    desk.get(&format!("/connections?cursor={cursor}"))
        .await
        .problem(400, "invalid-cursor");
    for nonsense in ["", "x", "%F0%9F%A6%80", "ajox", "AAAA"] {
        desk.get(&format!("/jobs?cursor={nonsense}"))
            .await
            .problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn an_unknown_route_and_an_unknown_method() {
    let desk = desk().await;
    desk.get("/no/such/route").await.problem(404, "not-found");
    for path in ["//test", "/square/sync", "/jobz"] {
        desk.get(path).await.problem(404, "not-found");
    }
    desk.get("/nothing").await.problem(404, "not-found");
    desk.ask(Method::DELETE, "/jobs", None)
        .await
        .problem(405, "method-not-allowed");
}

#[tokio::test]
async fn a_trailing_slash_is_accepted() {
    let desk = desk().await;
    desk.get("/connections/").await.expect(200);
    desk.get("/jobs/?limit=1").await.expect(200);
}

#[tokio::test]
async fn the_older_paths_point_to_their_twins() {
    let desk = desk().await;
    let id = "019ab2c3-7d4e-7f00-8000-000000000000";
    let base = "/api/integrations";
    for (method, old, new) in [
        (Method::GET, String::new(), "/connections".to_owned()),
        (
            Method::GET,
            "/?limit=1".into(),
            "/connections?limit=1".into(),
        ),
        (Method::POST, String::new(), "/connections".into()),
        (Method::GET, format!("/{id}"), format!("/connections/{id}")),
        (
            Method::DELETE,
            format!("/{id}/"),
            format!("/connections/{id}"),
        ),
        (
            Method::POST,
            format!("/{id}/test?wait=5"),
            format!("/connections/{id}/test?wait=5"),
        ),
        (
            Method::POST,
            format!("/{id}/sync"),
            format!("/connections/{id}/sync"),
        ),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("{base}{old}"))
            .body(Body::empty())
            .unwrap();
        let answer = desk.send(request).await;
        assert_eq!(answer.status, 308, "{old}");
        assert_eq!(answer.headers["location"], format!("{base}{new}"));
    }
}

#[tokio::test]
async fn without_the_database_requests_say_when_to_come_back() {
    let desk = desk().await;
    desk.store.db().clone().close().await.unwrap();
    let answer = desk.get("/jobs").await;
    assert_eq!(answer.headers["retry-after"], "2");
    let problem = answer.problem(503, "unavailable");
    assert!(
        !problem.to_string().to_lowercase().contains("sqlx"),
        "{problem:#}"
    );
    let ready = desk
        .send(
            Request::builder()
                .uri("/readyz")
                .body(Body::empty())
                .unwrap(),
        )
        .await
        .expect(503);
    assert_eq!(
        (&ready["status"], &ready["database"]),
        (&json!("not_ready"), &json!("away"))
    );
    desk.send(
        Request::builder()
            .uri("/healthz")
            .body(Body::empty())
            .unwrap(),
    )
    .await
    .expect(200);
}

fn sorted(mut pointers: Vec<String>) -> Vec<String> {
    pointers.sort();
    pointers
}
