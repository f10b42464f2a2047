//! What the real API refuses is refused here, with its codes.

use patchbay_sandbox::square::{Token, TokenStatus};
use serde_json::{Value, json};

use crate::http::{TOKEN, VERSION, get, post, send};
use crate::small;

#[tokio::test]
async fn a_request_without_a_known_bearer_token_is_unauthorized() {
    let sandbox = small().await;
    for headers in [
        vec![("square-version", VERSION)],
        vec![
            ("square-version", VERSION),
            ("authorization", "Bearer wrong"),
        ],
        vec![("square-version", VERSION), ("authorization", TOKEN)],
    ] {
        let answer = send(&sandbox, "GET /square/v2/locations", &headers, "").await;
        let (status, category, code, _) = answer.error();
        assert_eq!((status, code.as_str()), (401, "UNAUTHORIZED"));
        assert_eq!(category, "AUTHENTICATION_ERROR");
    }
}

#[tokio::test]
async fn the_version_header_must_be_a_date() {
    let sandbox = small().await;
    let bearer = format!("Bearer {TOKEN}");
    for version in [None, Some("latest"), Some("2025-8-20"), Some("2025-13-01")] {
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(version.map(|version| ("square-version", version)));
        let answer = send(&sandbox, "GET /square/v2/locations", &headers, "").await;
        assert_eq!(
            answer.code(),
            (400, "INVALID_SQUARE_VERSION_FORMAT".to_owned()),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn expired_revoked_and_narrow_tokens_are_told_apart() {
    let sandbox = small().await;
    let token = Token::new("other", "MLSANDBOX0001");
    let past = chrono::DateTime::UNIX_EPOCH;
    for (token, expected) in [
        (
            Token {
                status: TokenStatus::Expired,
                ..token.clone()
            },
            (401, "ACCESS_TOKEN_EXPIRED"),
        ),
        (
            Token {
                expires_at: Some(past),
                ..token.clone()
            },
            (401, "ACCESS_TOKEN_EXPIRED"),
        ),
        (
            Token {
                status: TokenStatus::Revoked,
                ..token.clone()
            },
            (401, "ACCESS_TOKEN_REVOKED"),
        ),
        (
            Token {
                scopes: vec!["ITEMS_READ".into()],
                ..token
            },
            (403, "INSUFFICIENT_SCOPES"),
        ),
    ] {
        sandbox
            .square
            .set_token(token)
            .expect("the merchant exists");
        let headers = [
            ("authorization", "Bearer other"),
            ("square-version", VERSION),
        ];
        let answer = send(&sandbox, "GET /square/v2/locations", &headers, "").await;
        assert_eq!(answer.code(), (expected.0, expected.1.to_owned()));
    }
}

#[tokio::test]
async fn unknown_fields_and_parameters_are_refused() {
    let sandbox = small().await;
    for path in [
        "/v2/locations?limit=1",
        "/v2/catalog/list?limit=10",
        "/v2/customers?page=2",
    ] {
        let answer = get(&sandbox, path).await;
        assert_eq!(
            answer.code(),
            (400, "UNKNOWN_QUERY_PARAMETER".to_owned()),
            "{path}"
        );
    }
    for (path, body) in [
        ("/v2/catalog/search", json!({"types": ["ITEM"]})),
        (
            "/v2/orders/search",
            json!({"location_ids": ["L"], "query": {"filter": {"since": 1}}}),
        ),
        (
            "/v2/customers/search",
            json!({"query": {"filter": {"name": "x"}}}),
        ),
        ("/v2/inventory/counts/batch-retrieve", json!({"ids": []})),
        (
            "/v2/orders/batch-retrieve",
            json!({"order_ids": ["a"], "x": 1}),
        ),
    ] {
        let answer = post(&sandbox, path, body).await;
        assert_eq!(
            answer.code(),
            (400, "UNKNOWN_BODY_PARAMETER".to_owned()),
            "{path}"
        );
    }
    let (_, _, _, field) = post(&sandbox, "/v2/catalog/search", json!({"types": []}))
        .await
        .error();
    assert_eq!(field.as_deref(), Some("types"));
}

#[tokio::test]
async fn a_body_must_be_json_and_say_so() {
    let sandbox = small().await;
    let bearer = format!("Bearer {TOKEN}");
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("square-version", VERSION),
    ];
    let answer = send(&sandbox, "POST /square/v2/catalog/search", &headers, "{}").await;
    assert_eq!(answer.code(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    headers.push(("content-type", "application/json"));
    let answer = send(
        &sandbox,
        "POST /square/v2/catalog/search",
        &headers,
        "{oops",
    )
    .await;
    assert_eq!(answer.code(), (400, "EXPECTED_JSON_BODY".to_owned()));
}

#[tokio::test]
async fn page_sizes_have_their_limits() {
    let sandbox = small().await;
    let orders = |limit: i64| json!({"location_ids": ["LOCATION"], "limit": limit});
    let plain = |limit: i64| json!({"limit": limit});
    for (path, max, body) in [
        ("/v2/orders/search", 1000, &orders as &dyn Fn(i64) -> Value),
        ("/v2/catalog/search", 1000, &plain),
        ("/v2/customers/search", 100, &plain),
        ("/v2/inventory/counts/batch-retrieve", 1000, &plain),
    ] {
        let code = post(&sandbox, path, body(max + 1)).await.code();
        assert_eq!(code, (400, "VALUE_TOO_HIGH".to_owned()), "{path}");
        assert_eq!(
            post(&sandbox, path, body(0)).await.code(),
            (400, "VALUE_TOO_LOW".to_owned())
        );
        if path != "/v2/orders/search" {
            assert_eq!(post(&sandbox, path, body(max)).await.status, 200, "{path}");
        }
    }
    let answer = get(&sandbox, "/v2/customers?limit=101").await;
    assert_eq!(answer.code(), (400, "VALUE_TOO_HIGH".to_owned()));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_in_the_same_envelope() {
    let sandbox = small().await;
    for path in [
        "/v2/nothing",
        "/v2/catalog/object/NONE",
        "/v2/merchants/OTHER",
    ] {
        assert_eq!(
            get(&sandbox, path).await.code(),
            (404, "NOT_FOUND".to_owned()),
            "{path}"
        );
    }
    let answer = post(&sandbox, "/v2/locations", json!({})).await;
    assert_eq!(answer.code(), (405, "METHOD_NOT_ALLOWED".to_owned()));
}

#[tokio::test]
async fn a_cursor_belongs_to_its_query_and_endpoint() {
    let sandbox = small().await;
    let first = post(&sandbox, "/v2/catalog/search", json!({"limit": 10}))
        .await
        .json();
    let cursor = &first["cursor"];
    assert!(cursor.is_string());
    let refused = (400, "INVALID_CURSOR".to_owned());
    let other_limit = json!({"limit": 11, "cursor": cursor});
    assert_eq!(
        post(&sandbox, "/v2/catalog/search", other_limit)
            .await
            .code(),
        refused
    );
    let other_filter = json!({"limit": 10, "include_deleted_objects": true, "cursor": cursor});
    assert_eq!(
        post(&sandbox, "/v2/catalog/search", other_filter)
            .await
            .code(),
        refused
    );
    let other_endpoint = json!({"limit": 10, "cursor": cursor});
    assert_eq!(
        post(&sandbox, "/v2/customers/search", other_endpoint)
            .await
            .code(),
        refused
    );
    let forged = json!({"limit": 10, "cursor": "Zm9yZ2Vk"});
    assert_eq!(
        post(&sandbox, "/v2/catalog/search", forged).await.code(),
        refused
    );
    let own = json!({"cursor": cursor, "limit": 10});
    assert_eq!(post(&sandbox, "/v2/catalog/search", own).await.status, 200);
}

#[tokio::test]
async fn a_cursor_does_not_serve_another_merchant() {
    use patchbay_sandbox::square::Account;
    use patchbay_sandbox::{Dataset, Sandbox, SandboxOptions, Sizes};
    let sizes = Sizes {
        items: 150,
        orders: 0,
        ..Sizes::default()
    };
    let second = Account {
        merchant_id: "MLSECOND".into(),
        token: "second-token".into(),
        dataset: Dataset::seeded(2, &sizes),
    };
    let mut options = SandboxOptions::with(Dataset::seeded(1, &sizes));
    options.square.push(second);
    let sandbox = Sandbox::start(options).await.expect("a free port");
    let cursor = get(&sandbox, "/v2/catalog/list?types=ITEM").await.json()["cursor"].clone();
    let path = format!(
        "GET /square/v2/catalog/list?types=ITEM&cursor={}",
        cursor.as_str().expect("text")
    );
    let headers = [
        ("authorization", "Bearer second-token"),
        ("square-version", VERSION),
    ];
    let answer = send(&sandbox, &path, &headers, "").await;
    assert_eq!(answer.code(), (400, "INVALID_CURSOR".to_owned()));
}
