//! Square: JSON bodies, `expires_at`, a refresh token that stays, `Client <secret>`.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use super::{BACK, CHALLENGE, VERIFIER, code, post_form, post_json, text};
use crate::http::{Answer, VERSION, control, send};
use crate::small;
use patchbay_sandbox::RunningSandbox;

const TOKEN: &str = "/square/oauth2/token";

fn exchange(code: &str) -> Value {
    json!({"client_id": "sandbox-square", "client_secret": "sandbox-square-secret",
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK})
}

fn refresh(token: &str) -> Value {
    json!({"client_id": "sandbox-square", "client_secret": "sandbox-square-secret",
        "grant_type": "refresh_token", "refresh_token": token})
}

async fn granted(sandbox: &RunningSandbox) -> Value {
    let code = code(sandbox, "square", json!({"redirect_uri": BACK})).await;
    let answer = post_json(sandbox, TOKEN, &exchange(&code)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn locations(sandbox: &RunningSandbox, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("square-version", VERSION),
    ];
    send(sandbox, "GET /square/v2/locations", &headers, "").await
}

async fn revoke(sandbox: &RunningSandbox, secret: &str, body: Value) -> Answer {
    let client = format!("Client {secret}");
    let headers = [
        ("authorization", client.as_str()),
        ("content-type", "application/json"),
    ];
    let head = "POST /square/oauth2/revoke";
    send(sandbox, head, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_code_becomes_a_token_that_opens_the_merchants_data() {
    let sandbox = small().await;
    let issued = granted(&sandbox).await;
    assert_eq!(text(&issued, "token_type"), "bearer");
    assert_eq!(text(&issued, "merchant_id"), "MLSANDBOX0001");
    assert!(issued.get("expires_in").is_none());
    let expires = DateTime::parse_from_rfc3339(&text(&issued, "expires_at")).expect("a time");
    let now = DateTime::from_timestamp_millis(sandbox.clock.now_ms()).expect("a time");
    assert_eq!(expires.to_utc() - now, TimeDelta::days(30));
    let token = text(&issued, "access_token");
    assert_eq!(locations(&sandbox, &token).await.status, 200);
    let bearer = format!("Bearer {token}");
    let status = send(
        &sandbox,
        "POST /square/oauth2/token/status",
        &[("authorization", bearer.as_str())],
        "",
    )
    .await
    .json();
    assert_eq!(text(&status, "client_id"), "sandbox-square");
    assert_eq!(text(&status, "expires_at"), text(&issued, "expires_at"));
}

#[tokio::test]
async fn another_merchant_and_fewer_scopes_can_be_chosen() {
    let sandbox = small().await;
    let consent = json!({"parameters": {"redirect_uri": BACK},
        "answer": {"account": "MLSANDBOX0002", "scopes": ["ITEMS_READ"]}});
    let given = control(&sandbox, "POST /square/consent", consent)
        .await
        .json();
    let answer = post_json(&sandbox, TOKEN, &exchange(&text(&given, "code")))
        .await
        .json();
    assert_eq!(text(&answer, "merchant_id"), "MLSANDBOX0002");
    let refused = locations(&sandbox, &text(&answer, "access_token")).await;
    assert_eq!(refused.code(), (403, "INSUFFICIENT_SCOPES".to_owned()));
}

#[tokio::test]
async fn a_client_is_checked_and_a_form_is_not_read() {
    let sandbox = small().await;
    let code = code(&sandbox, "square", json!({"redirect_uri": BACK})).await;
    let mut wrong = exchange(&code);
    wrong["client_secret"] = "guessed".into();
    let answer = post_json(&sandbox, TOKEN, &wrong).await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            401,
            json!({"message": "Not Authorized", "type": "service.not_authorized"})
        )
    );
    let mut bare = exchange(&code);
    bare.as_object_mut()
        .expect("an object")
        .remove("client_secret");
    let answer = post_json(&sandbox, TOKEN, &bare).await;
    assert_eq!(
        answer.code(),
        (400, "MISSING_REQUIRED_PARAMETER".to_owned())
    );
    let form = [("client_id", "sandbox-square"), ("code", code.as_str())];
    let answer = post_form(&sandbox, TOKEN, &form).await;
    assert_eq!(answer.code(), (400, "EXPECTED_JSON_BODY".to_owned()));
    let mut elsewhere = exchange(&code);
    elsewhere["redirect_uri"] = "http://127.0.0.1:7420/other".into();
    let answer = post_json(&sandbox, TOKEN, &elsewhere).await;
    assert_eq!(answer.code(), (401, "UNAUTHORIZED".to_owned()));
    // None of them used the code up.
    assert_eq!(
        post_json(&sandbox, TOKEN, &exchange(&code)).await.status,
        200
    );
}

#[tokio::test]
async fn a_code_lives_five_minutes_and_works_once() {
    let sandbox = small().await;
    let late = code(&sandbox, "square", json!({"redirect_uri": BACK})).await;
    sandbox.clock.advance_ms(5 * 60 * 1000);
    let answer = post_json(&sandbox, TOKEN, &exchange(&late)).await;
    assert_eq!(answer.code(), (401, "UNAUTHORIZED".to_owned()));

    let code = code(&sandbox, "square", json!({"redirect_uri": BACK})).await;
    let first = post_json(&sandbox, TOKEN, &exchange(&code)).await.json();
    let second = post_json(&sandbox, TOKEN, &exchange(&code)).await;
    assert_eq!(second.code(), (401, "UNAUTHORIZED".to_owned()));
    let dead = locations(&sandbox, &text(&first, "access_token")).await;
    assert_eq!(dead.code(), (401, "ACCESS_TOKEN_REVOKED".to_owned()));
}

#[tokio::test]
async fn the_code_flow_keeps_its_refresh_token_and_may_narrow_the_scopes() {
    let sandbox = small().await;
    let issued = granted(&sandbox).await;
    let token = text(&issued, "refresh_token");
    sandbox.clock.advance_ms(31 * 24 * 60 * 60 * 1000);
    let old = locations(&sandbox, &text(&issued, "access_token")).await;
    assert_eq!(old.code(), (401, "ACCESS_TOKEN_EXPIRED".to_owned()));
    for _ in 0..2 {
        let again = post_json(&sandbox, TOKEN, &refresh(&token)).await.json();
        assert_eq!(text(&again, "refresh_token"), token);
        let fresh = locations(&sandbox, &text(&again, "access_token")).await;
        assert_eq!(fresh.status, 200);
    }
    let mut narrow = refresh(&token);
    narrow["scopes"] = json!(["ITEMS_READ"]);
    narrow["short_lived"] = true.into();
    let narrow = post_json(&sandbox, TOKEN, &narrow).await.json();
    assert_eq!(narrow["short_lived"], true);
    let refused = locations(&sandbox, &text(&narrow, "access_token")).await;
    assert_eq!(refused.code(), (403, "INSUFFICIENT_SCOPES".to_owned()));
    assert_eq!(sandbox.square.oauth.refresh_calls(), 3);
}

#[tokio::test]
async fn the_pkce_flow_sends_no_secret_and_rotates() {
    let sandbox = small().await;
    let parameters = json!({"redirect_uri": BACK, "code_challenge": CHALLENGE});
    let code = code(&sandbox, "square", parameters).await;
    let mut body = exchange(&code);
    let fields = body.as_object_mut().expect("an object");
    fields.remove("client_secret");
    let answer = post_json(&sandbox, TOKEN, &body).await;
    assert_eq!(answer.code(), (401, "UNAUTHORIZED".to_owned()));
    body["code_verifier"] = VERIFIER.replace('d', "e").into();
    assert_eq!(post_json(&sandbox, TOKEN, &body).await.status, 401);
    body["code_verifier"] = VERIFIER.into();
    body["client_secret"] = "sandbox-square-secret".into();
    assert_eq!(post_json(&sandbox, TOKEN, &body).await.status, 400);
    body.as_object_mut()
        .expect("an object")
        .remove("client_secret");
    let issued = post_json(&sandbox, TOKEN, &body).await.json();
    assert!(issued["refresh_token_expires_at"].is_string());

    let first = text(&issued, "refresh_token");
    let mut body = refresh(&first);
    body.as_object_mut()
        .expect("an object")
        .remove("client_secret");
    let next = post_json(&sandbox, TOKEN, &body).await.json();
    assert_ne!(text(&next, "refresh_token"), first);
    // The replay ends the grant.
    assert_eq!(post_json(&sandbox, TOKEN, &body).await.status, 401);
    body["refresh_token"] = next["refresh_token"].clone();
    assert_eq!(post_json(&sandbox, TOKEN, &body).await.status, 401);
    let dead = locations(&sandbox, &text(&next, "access_token")).await;
    assert_eq!(dead.code(), (401, "ACCESS_TOKEN_REVOKED".to_owned()));
}

#[tokio::test]
async fn revoking_needs_the_secret_in_its_own_scheme_and_ends_everything() {
    let sandbox = small().await;
    let (one, two) = (granted(&sandbox).await, granted(&sandbox).await);
    let token = text(&one, "access_token");
    let body = json!({"client_id": "sandbox-square", "access_token": token});
    assert_eq!(revoke(&sandbox, "guessed", body.clone()).await.status, 401);
    let only = json!({"client_id": "sandbox-square", "access_token": token,
        "revoke_only_access_token": true});
    let answer = revoke(&sandbox, "sandbox-square-secret", only).await;
    assert_eq!(answer.json(), json!({"success": true}));
    let other = text(&two, "access_token");
    assert_eq!(locations(&sandbox, &token).await.status, 401);
    assert_eq!(locations(&sandbox, &other).await.status, 200);

    let all = json!({"client_id": "sandbox-square", "merchant_id": "MLSANDBOX0001"});
    let answer = revoke(&sandbox, "sandbox-square-secret", all.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(locations(&sandbox, &other).await.status, 401);
    let answer = post_json(&sandbox, TOKEN, &refresh(&text(&two, "refresh_token"))).await;
    assert_eq!(answer.code(), (401, "UNAUTHORIZED".to_owned()));
    let again = revoke(&sandbox, "sandbox-square-secret", all).await;
    assert_eq!(again.code(), (404, "NOT_FOUND".to_owned()));
}
