//! Faults by switch.

use std::time::Duration;

use patchbay_sandbox::{Dataset, Effect, Fault, RunningSandbox, Sandbox, SandboxOptions, Sizes};
use serde_json::{Value, json};

use crate::http::{Answer, control, get, post};
use crate::small;

async fn with(effect: Effect) -> (RunningSandbox, Answer) {
    let sandbox = small().await;
    sandbox
        .faults
        .add(Fault::everywhere(effect))
        .expect("a valid fault");
    let answer = get(&sandbox, "/v2/catalog/list?types=ITEM").await;
    (sandbox, answer)
}

#[tokio::test]
async fn a_burst_of_429_passes() {
    let sandbox = small().await;
    let burst = json!({"endpoint": "POST /square/v2/orders/search",
        "effect": {"rate_limited": {"retry_after": 2}}, "times": 2});
    assert_eq!(control(&sandbox, "POST /faults", burst).await.status, 200);
    assert_eq!(get(&sandbox, "/v2/locations").await.status, 200);
    for _ in 0..2 {
        let answer = post(&sandbox, "/v2/orders/search", json!({})).await;
        let (status, category, code, _) = answer.error();
        assert_eq!(
            (status, category.as_str(), code.as_str()),
            (429, "RATE_LIMIT_ERROR", "RATE_LIMITED")
        );
        assert!(answer.head.contains("retry-after: 2"));
    }
    let answer = post(&sandbox, "/v2/orders/search", json!({})).await;
    assert_eq!(
        answer.code(),
        (400, "MISSING_REQUIRED_PARAMETER".to_owned())
    );
    assert_eq!(sandbox.faults.list()[0].struck, 2);
    assert_eq!(sandbox.requests.recent(2)[0].faults, ["rate_limited"]);
}

#[tokio::test]
async fn refusals_are_worded_as_square_words_them() {
    for (effect, status, code) in [
        (
            Effect::ServerError { status: 503 },
            503,
            "SERVICE_UNAVAILABLE",
        ),
        (
            Effect::ServerError { status: 500 },
            500,
            "INTERNAL_SERVER_ERROR",
        ),
        (Effect::ExpiredToken, 401, "ACCESS_TOKEN_EXPIRED"),
        (Effect::RevokedToken, 401, "ACCESS_TOKEN_REVOKED"),
        (Effect::InsufficientScopes, 403, "INSUFFICIENT_SCOPES"),
    ] {
        let (_sandbox, answer) = with(effect).await;
        assert_eq!(answer.code(), (status, code.to_owned()));
    }
}

#[tokio::test]
async fn a_dropped_connection_breaks_off_inside_the_announced_body() {
    let (_sandbox, answer) = with(Effect::DropConnection { after_bytes: 100 }).await;
    assert_eq!(answer.status, 200);
    assert!(answer.announced() > 1000);
    assert_eq!(answer.body.len(), 100);
}

#[tokio::test]
async fn a_truncated_body_is_a_whole_answer_and_no_json() {
    let (_sandbox, answer) = with(Effect::TruncatedBody).await;
    assert_eq!(answer.announced(), answer.body.len());
    let error = serde_json::from_slice::<Value>(&answer.body).expect_err("cut");
    assert!(error.is_eof());
}

#[tokio::test]
async fn malformed_json_and_html_come_with_200() {
    let (_sandbox, answer) = with(Effect::MalformedJson).await;
    assert_eq!(
        (answer.status, answer.announced()),
        (200, answer.body.len())
    );
    assert!(answer.head.contains("application/json"));
    assert!(
        serde_json::from_slice::<Value>(&answer.body)
            .expect_err("broken")
            .is_syntax()
    );
    let (_sandbox, answer) = with(Effect::WrongContentType).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/html"));
}

#[tokio::test]
async fn latency_delays_and_slow_bodies_trickle_to_their_end() {
    let (_sandbox, answer) = with(Effect::Latency { ms: 80 }).await;
    assert!(answer.took >= Duration::from_millis(80) && answer.status == 200);

    let sandbox = small().await;
    let whole = get(&sandbox, "/v2/merchants/me").await;
    let slow = Effect::SlowBody {
        chunk_bytes: whole.body.len() / 4,
        pause_ms: 20,
    };
    sandbox
        .faults
        .add(Fault::everywhere(slow))
        .expect("a valid fault");
    let answer = get(&sandbox, "/v2/merchants/me").await;
    assert!(answer.took >= Duration::from_millis(80));
    assert_eq!(answer.body, whole.body);
}

#[tokio::test]
async fn an_endless_cursor_never_ends_and_may_change_each_time() {
    for (fresh, same) in [(false, true), (true, false)] {
        let (sandbox, _) = with(Effect::EndlessCursor { fresh }).await;
        let body = json!({"limit": 1000, "object_types": ["ITEM"]});
        let first = post(&sandbox, "/v2/catalog/search", body.clone())
            .await
            .json();
        let cursor = first["cursor"].clone();
        let again = json!({"limit": 1000, "object_types": ["ITEM"], "cursor": cursor});
        let second = post(&sandbox, "/v2/catalog/search", again).await.json();
        assert_eq!(second["objects"], first["objects"]);
        assert_eq!(second["cursor"] == cursor, same);
    }
}

#[tokio::test]
async fn duplicates_appear_across_pages_and_nothing_is_missing() {
    let (sandbox, _) = with(Effect::DuplicateItems).await;
    let body = json!({"limit": 60, "object_types": ["ITEM"]});
    let rows = crate::http::all_pages(&sandbox, "/v2/catalog/search", body, "objects").await;
    let mut ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert!(ids.len() > 250);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 250);
}

#[tokio::test]
async fn faults_are_set_at_start_listed_and_cleared_and_bad_ones_refused() {
    let mut options = SandboxOptions::with(Dataset::seeded(
        1,
        &Sizes {
            items: 1,
            orders: 0,
            ..Sizes::default()
        },
    ));
    options.faults = vec![Fault::at("*/locations", Effect::ExpiredToken)];
    let sandbox = Sandbox::start(options).await.expect("a free port");
    assert_eq!(get(&sandbox, "/v2/locations").await.status, 401);
    assert_eq!(get(&sandbox, "/v2/merchants/me").await.status, 200);
    let listed = control(&sandbox, "GET /faults", Value::Null).await.json();
    assert_eq!(
        (&listed[0]["effect"], &listed[0]["struck"]),
        (&json!("expired_token"), &json!(1))
    );
    for bad in [
        json!({"effect": "explode"}),
        json!({"effect": "expired_token", "probability": 2}),
        json!({"effect": "expired_token", "often": true}),
        json!({"effect": {"server_error": {"status": 200}}}),
    ] {
        let answer = control(&sandbox, "POST /faults", bad.clone()).await;
        assert!(matches!(answer.status, 400 | 422), "{bad}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(
        control(&sandbox, "DELETE /faults", Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(get(&sandbox, "/v2/locations").await.status, 200);
}

#[tokio::test]
async fn a_stopped_sandbox_gives_its_port_back_even_with_an_answer_on_its_way() {
    let sandbox = small().await;
    let slow = Effect::SlowBody {
        chunk_bytes: 1,
        pause_ms: 1000,
    };
    sandbox
        .faults
        .add(Fault::everywhere(slow))
        .expect("a valid fault");
    let mut stream = tokio::net::TcpStream::connect(sandbox.address())
        .await
        .expect("a running sandbox");
    let request = b"POST /square/oauth2/token/status HTTP/1.1\r\nhost: s\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request)
        .await
        .expect("taken");
    let address = sandbox.address();
    tokio::time::timeout(Duration::from_secs(3), sandbox.stop())
        .await
        .expect("a prompt stop");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
