//! Etsy: PKCE always, no secret in the token call, the key in every API call.

use patchbay_sandbox::RunningSandbox;
use serde_json::{Value, json};

use super::{
    BACK, CHALLENGE, VERIFIER, browse, code, in_query, post_form, post_json, refusal, text,
};
use crate::http::{Answer, send};
use crate::small;

const TOKEN: &str = "/etsy/v3/public/oauth/token";
const KEY: &str = "sandbox-etsy:sandbox-etsy-secret";

fn parameters() -> Value {
    json!({"redirect_uri": BACK, "state": "s", "scope": "shops_r",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256"})
}

async fn exchange(sandbox: &RunningSandbox, code: &str, verifier: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "sandbox-etsy"),
        ("redirect_uri", BACK),
        ("code", code),
        ("code_verifier", verifier),
    ];
    post_form(sandbox, TOKEN, &form).await
}

async fn granted(sandbox: &RunningSandbox, parameters: Value) -> Value {
    let code = code(sandbox, "etsy", parameters).await;
    let answer = exchange(sandbox, &code, VERIFIER).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn me(sandbox: &RunningSandbox, key: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("x-api-key", key), ("authorization", bearer.as_str())];
    send(sandbox, "GET /etsy/v3/application/users/me", &headers, "").await
}

#[tokio::test]
async fn the_token_names_the_user_and_needs_the_key_beside_it() {
    let sandbox = small().await;
    let issued = granted(&sandbox, parameters()).await;
    let token = text(&issued, "access_token");
    assert!(token.starts_with("81234567.") && issued["expires_in"] == 3600);
    let answer = me(&sandbox, KEY, &token).await;
    assert_eq!(
        answer.json(),
        json!({"user_id": 81_234_567, "shop_id": 23_456_789})
    );
    assert!(answer.head.contains("x-remaining-today: "));
    let bare = me(&sandbox, "sandbox-etsy", &token).await;
    assert_eq!(
        (bare.status, refusal(&bare).1.as_str()),
        (403, "Shared secret is required in x-api-key header")
    );
    assert_eq!(
        me(&sandbox, "sandbox-etsy:guessed", &token).await.status,
        403
    );
    let stranger = me(&sandbox, KEY, "81234567.x").await;
    assert_eq!(
        (stranger.status, refusal(&stranger).1.as_str()),
        (401, "invalid_token")
    );

    let mut narrow = parameters();
    narrow["scope"] = "listings_r".into();
    let narrow = text(&granted(&sandbox, narrow).await, "access_token");
    assert_eq!(me(&sandbox, KEY, &narrow).await.status, 403);

    let key = [("x-api-key", KEY)];
    for (path, status) in [
        ("openapi-ping", 200),
        ("shops/23456789", 200),
        ("users/81234568/shops", 200),
        ("shops/1", 404),
    ] {
        let head = format!("GET /etsy/v3/application/{path}");
        assert_eq!(
            send(&sandbox, &head, &key, "").await.status,
            status,
            "{path}"
        );
        assert_eq!(send(&sandbox, &head, &[], "").await.status, 403, "{path}");
    }
    let head = "POST /etsy/v3/application/scopes";
    let body = super::encode(&[("token", &token)]);
    let scopes = send(&sandbox, head, &key, &body).await;
    assert_eq!(scopes.json(), json!({"scopes": ["shops_r"]}));
}

#[tokio::test]
async fn without_state_or_challenge_the_client_hears_what_is_wrong() {
    let sandbox = small().await;
    let all = [
        ("client_id", "sandbox-etsy"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "shops_r"),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let page = browse(&sandbox, "/etsy/oauth/connect", &all).await;
    assert_eq!(page.status, 200);
    for left_out in [
        "state",
        "code_challenge",
        "code_challenge_method",
        "response_type",
        "scope",
    ] {
        let query: Vec<_> = all
            .iter()
            .copied()
            .filter(|(name, _)| *name != left_out)
            .collect();
        let answer = browse(&sandbox, "/etsy/oauth/connect", &query).await;
        let error = in_query(&answer.location(), "error");
        let expected = if left_out == "scope" {
            "invalid_scope"
        } else {
            "invalid_request"
        };
        assert_eq!(error.as_deref(), Some(expected), "{left_out}");
    }
}

#[tokio::test]
async fn a_verifier_must_answer_and_json_is_read_too() {
    let sandbox = small().await;
    let code = code(&sandbox, "etsy", parameters()).await;
    for verifier in ["", &VERIFIER.replace('d', "e")] {
        let (status, error, _) = refusal(&exchange(&sandbox, &code, verifier).await);
        assert_eq!((status, error.as_str()), (400, "invalid_grant"));
    }
    let body = json!({"grant_type": "authorization_code", "client_id": "sandbox-etsy",
        "redirect_uri": BACK, "code": code, "code_verifier": VERIFIER});
    assert_eq!(post_json(&sandbox, TOKEN, &body).await.status, 200);
}

#[tokio::test]
async fn both_tokens_are_new_with_each_refresh_and_a_replay_ends_the_grant() {
    let sandbox = small().await;
    let issued = granted(&sandbox, parameters()).await;
    let first = text(&issued, "refresh_token");
    let refresh = async |token: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "sandbox-etsy"),
            ("refresh_token", token),
        ];
        post_form(&sandbox, TOKEN, &form).await
    };
    let next = refresh(&first).await.json();
    let (access, second) = (text(&next, "access_token"), text(&next, "refresh_token"));
    assert_ne!(first, second);
    assert_eq!(me(&sandbox, KEY, &access).await.status, 200);
    assert_eq!(refusal(&refresh(&first).await).1, "invalid_grant");
    assert_eq!(refusal(&refresh(&second).await).1, "invalid_grant");
    assert_eq!(me(&sandbox, KEY, &access).await.status, 401);

    let token = text(&granted(&sandbox, parameters()).await, "refresh_token");
    sandbox.clock.advance_ms(90 * 24 * 60 * 60 * 1000);
    assert_eq!(refusal(&refresh(&token).await).1, "invalid_grant");
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_is_granted_and_the_grant_is_dead() {
    let sandbox = small().await;
    let token = text(&granted(&sandbox, parameters()).await, "refresh_token");
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "sandbox-etsy"),
        ("refresh_token", token.as_str()),
    ];
    let calls = [0, 1].map(|_| post_form(&sandbox, TOKEN, &form));
    let answers = futures::future::join_all(calls).await;
    let granted = answers.iter().find(|answer| answer.status == 200);
    let next = granted.expect("one is granted").json();
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 400).count(),
        1
    );
    let dead = me(&sandbox, KEY, &text(&next, "access_token")).await;
    assert_eq!(dead.status, 401);
    assert_eq!(sandbox.etsy.oauth.refresh_calls(), 2);
}
