//! Slack: refusals with 200, the person's token apart, rotation where it is on.

use patchbay_sandbox::RunningSandbox;
use serde_json::{Value, json};

use super::{BACK, browse, code, get_with, post_form, post_json, text};
use crate::small;

const TOKEN: &str = "/slack/api/oauth.v2.access";

async fn call(sandbox: &RunningSandbox, client: &str, more: &[(&str, &str)]) -> Value {
    let secret = format!("{client}-secret");
    let mut form = vec![("client_id", client), ("client_secret", secret.as_str())];
    form.extend(more);
    let answer = post_form(sandbox, TOKEN, &form).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

async fn granted(sandbox: &RunningSandbox, client: &str, scope: &str, user: &str) -> Value {
    let parameters = json!({"client_id": client, "redirect_uri": BACK, "scope": scope,
        "user_scope": user});
    let code = code(sandbox, "slack", parameters).await;
    call(sandbox, client, &[("code", &code), ("redirect_uri", BACK)]).await
}

async fn method(sandbox: &RunningSandbox, path: &str, token: &str) -> Value {
    let answer = get_with(sandbox, &format!("/slack/api/{path}"), token).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

#[tokio::test]
async fn a_bot_gets_a_token_that_does_not_expire() {
    let sandbox = small().await;
    let issued = granted(&sandbox, "sandbox-slack", "team:read,channels:read", "").await;
    assert_eq!(issued["ok"], true);
    assert_eq!(text(&issued, "scope"), "team:read,channels:read");
    assert_eq!(text(&issued["team"], "id"), "T0SANDBOX1");
    assert!(issued.get("expires_in").is_none() && issued.get("refresh_token").is_none());
    assert!(issued["authed_user"].get("access_token").is_none());
    let token = text(&issued, "access_token");
    assert!(token.starts_with("xoxb-"));
    sandbox.clock.advance_ms(365 * 24 * 60 * 60 * 1000);
    let tested = method(&sandbox, "auth.test", &token).await;
    assert_eq!(
        (&tested["ok"], &tested["team_id"]),
        (&json!(true), &json!("T0SANDBOX1"))
    );
}

#[tokio::test]
async fn a_grant_of_a_persons_scopes_alone_has_no_token_at_the_top() {
    let sandbox = small().await;
    let issued = granted(&sandbox, "sandbox-slack", "", "channels:read").await;
    assert!(issued.get("access_token").is_none());
    let token = text(&issued["authed_user"], "access_token");
    assert!(token.starts_with("xoxp-"));
    assert_eq!(method(&sandbox, "auth.test", &token).await["ok"], true);
}

#[tokio::test]
async fn scopes_are_joined_by_commas_and_by_nothing_else() {
    let sandbox = small().await;
    let query = [
        ("client_id", "sandbox-slack"),
        ("redirect_uri", BACK),
        ("scope", "team:read channels:read"),
    ];
    let page = browse(&sandbox, "/slack/oauth/v2/authorize", &query).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("invalid_scope"));
}

#[tokio::test]
async fn refusals_come_with_200_and_slacks_words() {
    let sandbox = small().await;
    let parameters = json!({"redirect_uri": BACK, "scope": "team:read"});
    let code = code(&sandbox, "slack", parameters).await;
    let client = "sandbox-slack";
    for (form, error) in [
        (
            vec![("code", "57.x"), ("redirect_uri", BACK)],
            "invalid_code",
        ),
        (vec![("code", code.as_str())], "bad_redirect_uri"),
        (
            vec![
                ("code", code.as_str()),
                ("redirect_uri", "http://127.0.0.1/"),
            ],
            "bad_redirect_uri",
        ),
        (
            vec![("grant_type", "password"), ("code", code.as_str())],
            "invalid_grant_type",
        ),
        (
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", "xoxe-1-x"),
            ],
            "invalid_refresh_token",
        ),
    ] {
        let answer = call(&sandbox, client, &form).await;
        assert_eq!(answer, json!({"ok": false, "error": error}));
    }
    let form = [
        ("client_id", client),
        ("client_secret", "guessed"),
        ("code", code.as_str()),
    ];
    let answer = post_form(&sandbox, TOKEN, &form).await.json();
    assert_eq!(answer["error"], "bad_client_secret");
    let json = json!({"client_id": client, "client_secret": "sandbox-slack-secret", "code": code});
    let answer = post_json(&sandbox, TOKEN, &json).await.json();
    assert_eq!(answer["error"], "invalid_form_data");
    let right = [("code", code.as_str()), ("redirect_uri", BACK)];
    assert_eq!(call(&sandbox, client, &right).await["ok"], true);
    assert_eq!(
        call(&sandbox, client, &right).await["error"],
        "code_already_used"
    );
}

#[tokio::test]
async fn rotation_replaces_the_refresh_token_and_keeps_two_access_tokens() {
    let sandbox = small().await;
    let client = "sandbox-slack-rotating";
    let issued = granted(&sandbox, client, "team:read", "").await;
    assert_eq!(issued["expires_in"], 43_200);
    let mut access = vec![text(&issued, "access_token")];
    let mut refresh = text(&issued, "refresh_token");
    let used = refresh.clone();
    assert!(access[0].starts_with("xoxe.xoxb-1-") && refresh.starts_with("xoxe-1-"));
    for _ in 0..2 {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &*refresh),
        ];
        let next = call(&sandbox, client, &form).await;
        assert_ne!(text(&next, "refresh_token"), refresh);
        refresh = text(&next, "refresh_token");
        access.push(text(&next, "access_token"));
    }
    assert_eq!(
        method(&sandbox, "auth.test", &access[0]).await["error"],
        "token_revoked"
    );
    assert_eq!(method(&sandbox, "auth.test", &access[1]).await["ok"], true);
    sandbox.clock.advance_ms(43_200_000);
    assert_eq!(
        method(&sandbox, "auth.test", &access[2]).await["error"],
        "token_expired"
    );
    for token in [&used, &refresh] {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str()),
        ];
        let answer = call(&sandbox, client, &form).await;
        assert_eq!(answer["error"], "invalid_refresh_token");
    }
}

#[tokio::test]
async fn a_token_revokes_itself_and_its_refresh_token() {
    let sandbox = small().await;
    let client = "sandbox-slack-rotating";
    let issued = granted(&sandbox, client, "team:read", "").await;
    let other = granted(&sandbox, client, "team:read", "").await;
    let token = text(&issued, "access_token");
    let trial = method(&sandbox, "auth.revoke?test=1", &token).await;
    assert_eq!(trial, json!({"ok": true, "revoked": false}));
    let revoked = method(&sandbox, "auth.revoke", &token).await;
    assert_eq!(revoked, json!({"ok": true, "revoked": true}));
    assert_eq!(
        method(&sandbox, "auth.test", &token).await["error"],
        "token_revoked"
    );
    let refresh = text(&issued, "refresh_token");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    assert_eq!(call(&sandbox, client, &form).await["ok"], false);
    let other = text(&other, "access_token");
    assert_eq!(method(&sandbox, "auth.test", &other).await["ok"], true);
}

#[tokio::test]
async fn channels_come_in_pages_that_may_be_short_and_need_their_scope() {
    let sandbox = small().await;
    let issued = granted(&sandbox, "sandbox-slack", "channels:read", "").await;
    let token = text(&issued, "access_token");
    let (mut cursor, mut names, mut short) = (String::new(), Vec::new(), false);
    loop {
        let query = super::encode(&[
            ("limit", "20"),
            ("exclude_archived", "true"),
            ("cursor", &cursor),
        ]);
        let page = method(&sandbox, &format!("conversations.list?{query}"), &token).await;
        let channels = page["channels"].as_array().cloned().expect("channels");
        short |= channels.len() < 20;
        names.extend(channels.iter().map(|channel| text(channel, "id")));
        cursor = text(&page["response_metadata"], "next_cursor");
        if cursor.is_empty() {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert!(short && names.len() > 80, "{}", names.len());
    for (query, error) in [
        ("types=private_channel", "missing_scope"),
        ("types=all", "invalid_types"),
        ("limit=1001", "invalid_limit"),
        ("cursor=x", "invalid_cursor"),
    ] {
        let refused = method(&sandbox, &format!("conversations.list?{query}"), &token).await;
        assert_eq!(refused["error"], error);
    }
    assert_eq!(
        method(&sandbox, "auth.test", "xoxb-x").await["error"],
        "invalid_auth"
    );
    assert_eq!(
        method(&sandbox, "users.nothing", &token).await["error"],
        "unknown_method"
    );
}
