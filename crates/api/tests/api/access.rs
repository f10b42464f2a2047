//! Who may do what: every route without a key, with a revoked-looking key, with
//! too small a role, and with another organization's key.

use axum::{
    body::Body,
    http::{Method, Request},
};
use patchbay_api::access::{Access, BASE, TABLE};
use patchbay_core::connection::Role;
use serde_json::json;

use crate::desk::{Desk, desk};

const SOME_ID: &str = "019ab2c3-7d4e-7f00-8000-000000000000";

fn uri(path: &str) -> String {
    path.replacen('~', BASE, 1)
        .replace("{id}", SOME_ID)
        .replace("{key}", "square")
        .replace("{slug}", "not-found")
}

async fn status(desk: &Desk, method: &str, uri: &str, key: Option<&str>) -> u16 {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    desk.send(request.body(Body::empty()).unwrap())
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn every_route_asks_for_a_key_unless_the_table_says_otherwise() {
    let desk = desk().await;
    let foreign = format!("pb_000000000000_{}", "A".repeat(49));
    for (method, path, access) in TABLE.iter().filter(|row| row.0 != "ANY") {
        for key in [None, Some(foreign.as_str()), Some("nonsense")] {
            let status = status(&desk, method, &uri(path), key).await;
            match access {
                Access::Public => assert_ne!(status, 401, "{method} {path}"),
                Access::Key(_) => assert_eq!(status, 401, "{method} {path} with {key:?}"),
            }
        }
    }
}

#[tokio::test]
async fn every_route_refuses_a_role_below_its_own() {
    let desk = desk().await;
    for (method, path, access) in TABLE {
        let Access::Key(needed) = access else {
            continue;
        };
        for (key, role) in [(&desk.viewer, Role::Viewer), (&desk.member, Role::Member)] {
            if path.ends_with("/stream") {
                continue; // Never ends; its role is the lowest.
            }
            let status = status(&desk, method, &uri(path), Some(key)).await;
            assert_eq!(
                status == 403,
                !role.allows(*needed),
                "{method} {path} as {role:?}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_says_how_to_send_a_key() {
    let desk = desk().await;
    let request = Request::builder()
        .uri("/api/integrations/jobs")
        .body(Body::empty())
        .unwrap();
    let answer = desk.send(request).await;
    assert_eq!(
        answer.headers["www-authenticate"],
        "Bearer realm=\"patchbay\""
    );
    answer.problem(401, "unauthorized");
    let refused = desk
        .ask_as(&desk.viewer, Method::POST, "/connections", Some(json!({})))
        .await;
    let detail = refused.problem(403, "forbidden")["detail"].to_string();
    assert!(
        detail.contains("`viewer`") && detail.contains("`admin`"),
        "{detail}"
    );
}

#[tokio::test]
async fn another_organizations_ids_are_not_found() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let job = desk
        .post(
            &format!("/connections/{connection}/sync"),
            json!({ "streams": ["catalog"] }),
        )
        .await
        .expect(202);
    let job = job["jobs"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/connections/{connection}/schedules");
    let schedule = json!({ "stream": "catalog", "every": "1h" });
    let made = desk.post(&path, schedule.clone()).await.expect(201);
    let made = made["id"].as_str().unwrap().to_owned();
    let known = [
        ("/connections/", connection.to_string()),
        ("/jobs/", job),
        ("/schedules/", made),
    ];
    for (method, path, access) in TABLE {
        let Access::Key(_) = access else { continue };
        let Some((_, id)) = known.iter().find(|(noun, _)| path.contains(noun)) else {
            continue;
        };
        let path = path.trim_start_matches('~').replace("{id}", id);
        let body = if path.ends_with("credential") {
            json!({ "credential": { "access_token": "EAAA-some-token-0001" } })
        } else if path.ends_with("/schedules") {
            schedule.clone()
        } else {
            json!({})
        };
        let body = (*method != "GET" && *method != "DELETE").then_some(body);
        let path = if path.ends_with("/records") {
            format!("{path}?stream=catalog")
        } else {
            path
        };
        let answer = desk
            .ask_as(&desk.stranger, method.parse().unwrap(), &path, body)
            .await;
        answer.problem(404, "not-found");
    }
    // And nothing of it happened.
    let still = desk
        .get(&format!("/connections/{connection}"))
        .await
        .expect(200);
    assert_eq!(still["status"], "active");
}
