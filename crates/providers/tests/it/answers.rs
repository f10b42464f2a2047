//! Answers of token endpoints, good and bad: what becomes of each, and that nothing of
//! what was sent is repeated.

use std::time::Duration;

use chrono::{SubsecRound, TimeDelta};
use patchbay_core::{
    clock::{Clock, SystemClock},
    failure::FailureKind,
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    secret::Secret,
};
use patchbay_providers::oauth::TokenError;
use tokio::net::TcpListener;

use crate::{
    stand_in::fields,
    token_server::{TokenServer, json_answer, place},
};

fn name(outcome: &Result<impl Sized, TokenError>) -> &'static str {
    match outcome {
        Ok(_) => "granted",
        Err(TokenError::Refused(_)) => "refused",
        Err(TokenError::Misconfigured(_)) => "misconfigured",
        Err(TokenError::Later { .. }) => "later",
        Err(TokenError::Unknown(_)) => "unknown",
    }
}

/// Both calls under one answer.
async fn outcomes(provider: &str, status: u16, body: &str) -> [&'static str; 2] {
    let server = TokenServer::json(provider, status, body).await;
    [
        name(&server.exchange().await),
        name(&server.refresh().await),
    ]
}

const GOOD: &str = r#"{"access_token":"at","expires_in":3600,"refresh_token":"rt","token_type":"Bearer","scope":"a b"}"#;

#[tokio::test]
async fn a_good_answer_is_a_grant() {
    let server = TokenServer::json("google_drive", 200, GOOD).await;
    let before = SystemClock.now();
    let grant = server.exchange().await.expect("a grant");
    assert_eq!(
        grant.fields,
        fields(&[("access_token", "at"), ("refresh_token", "rt")])
    );
    assert_eq!(grant.scopes, Some(vec!["a".to_owned(), "b".to_owned()]));
    let life = grant.expires_at.expect("an end") - before;
    assert!(
        life >= TimeDelta::seconds(3600) && life < TimeDelta::seconds(3660),
        "{life}"
    );
    assert_eq!(grant.refresh_expires_at, None);
}

#[tokio::test]
async fn malformed_answers_are_no_grants_and_leave_the_outcome_unknown() {
    let padding = "x".repeat(70 * 1024);
    let long =
        format!(r#"{{"access_token":"at","expires_in":60,"refresh_token":"r","x":"{padding}"}}"#);
    for body in [
        "",
        "null",
        "[]",
        "\"at\"",
        "<html><body>Welcome</body></html>",
        "access_token=at&expires_in=3600",
        r#"{"access_token":"at","#,
        r#"{"access_token":"at"} trailing"#,
        r#"{"expires_in":3600,"refresh_token":"rt"}"#,
        r#"{"access_token":null,"refresh_token":"rt"}"#,
        r#"{"access_token":"","refresh_token":"rt"}"#,
        r#"{"access_token":7,"refresh_token":"rt"}"#,
        r#"{"access_token":{"t":"at"},"refresh_token":"rt"}"#,
        r#"{"access_token":"a\nt","refresh_token":"rt"}"#,
        r#"{"access_token":"a\u0000t","refresh_token":"rt"}"#,
        r#"{"access_token":"ätöken","refresh_token":"rt"}"#,
        r#"{"access_token":"at","refresh_token":""}"#,
        r#"{"access_token":"at","refresh_token":["rt"]}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":-1}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":0}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":315705600}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":9223372036854775807}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":1e99}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":3600.5}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":"3600"}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":true}"#,
        r#"{"access_token":"at","refresh_token":"rt","refresh_token_expires_in":-5}"#,
        r#"{"access_token":"at","access_token":"at","refresh_token":"rt"}"#,
        r#"{"access_token":"at","refresh_token":"rt","expires_in":60,"expires_in":3600}"#,
        r#"{"access_token":"at","refresh_token":"rt","x":{"y":1,"y":2}}"#,
        r#"{"access_token":"at","refresh_token":"rt","scope":["a"]}"#,
        r#"{"access_token":"at","refresh_token":"rt","token_type":"mac"}"#,
        r#"{"access_token":"at","refresh_token":"rt","token_type":1}"#,
        &long,
    ] {
        let shown = &body[..body.len().min(80)];
        let outcomes = outcomes("google_drive", 200, body).await;
        assert_eq!(outcomes, ["unknown", "unknown"], "{shown}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let head =
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/elsewhere\r\ncontent-length: 0\r\n\r\n";
    let server = TokenServer::saying("google_drive", Some(head.into())).await;
    assert_eq!(name(&server.exchange().await), "unknown");
}

#[tokio::test]
async fn a_first_grant_that_ends_needs_a_refresh_token_and_a_later_one_keeps_the_old() {
    let body = r#"{"access_token":"at","expires_in":3599}"#;
    assert_eq!(
        outcomes("google_drive", 200, body).await,
        ["unknown", "granted"]
    );
    // Slack's tokens without rotation never end.
    let body = r#"{"ok":true,"access_token":"xoxb-1","token_type":"bot","scope":"a,b"}"#;
    let server = TokenServer::json("slack", 200, body).await;
    let grant = server.exchange().await.expect("a grant");
    assert_eq!(
        (grant.expires_at, grant.scopes),
        (None, Some(vec!["a".into(), "b".into()]))
    );
}

#[tokio::test]
async fn the_error_decides_what_may_be_done_next() {
    let rfc = |code: &str| format!(r#"{{"error":"{code}","error_description":"Said."}}"#);
    let square = |code: &str| {
        format!(r#"{{"errors":[{{"category":"C","code":"{code}","detail":"Said."}}]}}"#)
    };
    let slack = |code: &str| format!(r#"{{"ok":false,"error":"{code}"}}"#);
    for (provider, status, body, expected) in [
        ("google_drive", 400, rfc("invalid_grant"), "refused"),
        ("google_drive", 200, rfc("invalid_grant"), "refused"),
        ("google_drive", 403, rfc("admin_policy_enforced"), "refused"),
        ("google_drive", 401, rfc("invalid_client"), "misconfigured"),
        (
            "google_drive",
            400,
            rfc("redirect_uri_mismatch"),
            "misconfigured",
        ),
        ("google_drive", 400, rfc("invalid_request"), "misconfigured"),
        ("google_drive", 400, rfc("something_new"), "misconfigured"),
        ("google_drive", 400, rfc("temporarily_unavailable"), "later"),
        ("google_drive", 429, rfc("invalid_grant"), "later"),
        ("google_drive", 500, rfc("invalid_grant"), "later"),
        ("google_drive", 503, "<html>".into(), "later"),
        ("google_drive", 408, String::new(), "later"),
        ("google_drive", 502, "<html>".into(), "unknown"),
        ("google_drive", 504, "<html>".into(), "unknown"),
        ("google_drive", 400, "<html>".into(), "unknown"),
        ("google_drive", 404, String::new(), "unknown"),
        ("google_drive", 401, "{}".into(), "unknown"),
        ("slack", 200, slack("invalid_code"), "refused"),
        ("slack", 200, slack("code_already_used"), "refused"),
        ("slack", 200, slack("invalid_refresh_token"), "refused"),
        ("slack", 200, slack("bad_client_secret"), "misconfigured"),
        ("slack", 200, slack("bad_redirect_uri"), "misconfigured"),
        ("slack", 200, slack("ratelimited"), "later"),
        (
            "slack",
            200,
            r#"{"access_token":"xoxb-1"}"#.into(),
            "unknown",
        ),
        (
            "slack",
            200,
            r#"{"ok":"true","access_token":"xoxb-1"}"#.into(),
            "unknown",
        ),
        ("square", 401, square("UNAUTHORIZED"), "refused"),
        (
            "square",
            401,
            r#"{"message":"Not Authorized","type":"service.not_authorized"}"#.into(),
            "misconfigured",
        ),
        (
            "square",
            400,
            square("MISSING_REQUIRED_PARAMETER"),
            "misconfigured",
        ),
        ("square", 400, square("too_many_requests"), "later"),
        ("etsy", 400, rfc("invalid_grant"), "refused"),
        ("etsy", 401, rfc("invalid_client"), "misconfigured"),
        ("shopify", 400, rfc("invalid_request"), "refused"),
        ("shopify", 401, rfc("invalid_client"), "misconfigured"),
    ] {
        let outcomes = outcomes(provider, status, &body).await;
        assert_eq!(outcomes, [expected, expected], "{provider} {status} {body}");
    }
}

#[tokio::test]
async fn an_asked_pause_is_passed_on() {
    let answer = json_answer(429, "{}").replacen("\r\n", "\r\nretry-after: 17\r\n", 1);
    let server = TokenServer::saying("etsy", Some(answer)).await;
    match server.refresh().await {
        Err(TokenError::Later {
            after,
            error,
            untouched,
        }) => {
            assert_eq!(after, Some(Duration::from_secs(17)));
            assert_eq!(error.kind, FailureKind::RateLimited);
            assert!(untouched, "turned away before any work");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn googles_subtype_is_told() {
    let body = r#"{"error":"invalid_grant","error_subtype":"invalid_rapt","error_description":"reauth related error"}"#;
    let server = TokenServer::json("google_drive", 400, body).await;
    let error = server.refresh().await.expect_err("refused").into_error();
    assert_eq!(error.kind, FailureKind::Auth);
    assert_eq!(error.code.as_deref(), Some("invalid_grant"));
    assert!(error.message.contains("invalid_rapt"), "{error}");
}

#[tokio::test]
async fn words_repeat_nothing_that_was_sent_and_no_control_characters() {
    let body = r#"{"error":"invalid_grant","error_description":"c0de v3rifier cl13nt-s3cret r3fresh\u0007\r\n<b>"}"#;
    let server = TokenServer::json("google_drive", 400, body).await;
    for outcome in [server.exchange().await, server.refresh().await] {
        let error = outcome.expect_err("refused").into_error();
        assert!(!error.message.chars().any(char::is_control), "{error:?}");
        assert!(!error.message.contains("s3cret"), "{error:?}");
    }
    let error = server.exchange().await.expect_err("refused").into_error();
    assert!(!error.message.contains("c0de") && !error.message.contains("v3rifier"));
    let error = server.refresh().await.expect_err("refused").into_error();
    assert!(!error.message.contains("r3fresh"), "{error:?}");
    // A code that is no name is not repeated as one.
    let body = r#"{"error":"c0de is wrong, try <b>","error_description":"x"}"#;
    let server = TokenServer::json("google_drive", 400, body).await;
    let error = server.exchange().await.expect_err("refused").into_error();
    assert_eq!(error.code, None);
    assert!(!error.message.contains("c0de"), "{error:?}");
}

#[tokio::test]
async fn what_was_not_sent_may_be_repeated_and_what_was_sent_may_not() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = closed.local_addr().expect("bound").port();
    drop(closed);
    let mut server = TokenServer::saying("google_drive", Some(String::new())).await;
    // It hears, and hangs up.
    assert_eq!(name(&server.exchange().await), "unknown");
    server.place = place("google_drive", &format!("http://127.0.0.1:{port}"));
    assert_eq!(name(&server.exchange().await), "later");
    server.place = place("google_drive", "http://no-such-host.invalid");
    assert_eq!(name(&server.exchange().await), "later");

    let silent = TokenServer::saying("google_drive", None).await.hurried();
    assert_eq!(name(&silent.exchange().await), "unknown");
}

#[tokio::test]
async fn an_address_inside_is_blocked_for_tokens_and_for_revocations() {
    let mut server = TokenServer::json("google_drive", 200, GOOD).await;
    server.outbound = Outbound::new(OutboundConfig {
        policy: AddressPolicy::default(),
        ..OutboundConfig::default()
    })
    .expect("a client");
    let revoked = server.revoke(&fields(&[("access_token", "at")])).await;
    for outcome in [
        server.exchange().await.map(drop),
        server.refresh().await.map(drop),
        revoked,
    ] {
        assert_eq!(name(&outcome), "misconfigured");
        assert_eq!(
            outcome.expect_err("blocked").error().kind,
            FailureKind::Blocked
        );
    }
    assert!(server.seen.try_recv().is_err(), "something was sent");
}

#[tokio::test]
async fn an_end_is_read_where_the_provider_writes_it() {
    let at = (SystemClock.now().trunc_subsecs(0) + TimeDelta::days(30)).to_rfc3339();
    let body = |at: &str| {
        format!(
            r#"{{"access_token":"at","token_type":"bearer","expires_at":"{at}","merchant_id":"M","refresh_token":"rt","short_lived":false}}"#
        )
    };
    let server = TokenServer::json("square", 200, &body(&at)).await;
    let grant = server.exchange().await.expect("a grant");
    assert_eq!(grant.expires_at.map(|end| end.to_rfc3339()), Some(at));
    assert_eq!(grant.scopes, None);
    for at in [
        "2020-01-01T00:00:00Z",
        "2199-01-01T00:00:00Z",
        "tomorrow",
        "1768478400",
    ] {
        assert_eq!(
            outcomes("square", 200, &body(at)).await,
            ["unknown", "unknown"],
            "{at}"
        );
    }
}

#[tokio::test]
async fn a_person_s_grant_alone_is_found_where_slack_puts_it() {
    let body = r#"{"ok":true,"app_id":"A","authed_user":{"id":"U","scope":"chat:write","access_token":"xoxp-1","token_type":"user"},"team":{"id":"T"}}"#;
    let server = TokenServer::json("slack", 200, body).await;
    let grant = server.exchange().await.expect("a grant");
    assert_eq!(
        grant.fields.get("access_token"),
        Some(&Secret::new("xoxp-1"))
    );
    assert_eq!(grant.scopes, Some(vec!["chat:write".to_owned()]));
    // With a bot beside, the bot's counts.
    let body = body.replacen("\"app_id\"", "\"access_token\":\"xoxb-1\",\"app_id\"", 1);
    let server = TokenServer::json("slack", 200, &body).await;
    let grant = server.exchange().await.expect("a grant");
    assert_eq!(
        grant.fields.get("access_token"),
        Some(&Secret::new("xoxb-1"))
    );
}

#[tokio::test]
async fn each_provider_is_asked_in_its_own_way() {
    for (provider, here, nowhere) in [
        (
            "square",
            vec![
                "POST /oauth2/token",
                "application/json",
                "\"client_secret\":\"cl13nt-s3cret\"",
                "square-version: 2025-08-20",
            ],
            vec!["authorization:"],
        ),
        (
            "google_drive",
            vec![
                "POST /token",
                "application/x-www-form-urlencoded",
                "code_verifier=v3rifier",
                "grant_type=authorization_code",
            ],
            vec![],
        ),
        (
            "slack",
            vec!["POST /api/oauth.v2.access", "client_secret=cl13nt-s3cret"],
            vec![],
        ),
        (
            "etsy",
            vec![
                "POST /v3/public/oauth/token",
                "client_id=our-client",
                "code_verifier=v3rifier",
            ],
            vec!["s3cret"],
        ),
        (
            "shopify",
            vec![
                "POST /admin/oauth/access_token",
                "\"expiring\":\"1\"",
                "\"code\":\"c0de\"",
            ],
            vec!["grant_type", "redirect_uri"],
        ),
    ] {
        let mut server = TokenServer::json(provider, 503, "{}").await;
        assert_eq!(name(&server.exchange().await), "later");
        let request = server.seen.recv().await.expect("a request");
        for part in here {
            assert!(request.contains(part), "{provider}: {part} in {request}");
        }
        for part in nowhere {
            assert!(
                !request.contains(part),
                "{provider}: no {part} in {request}"
            );
        }
    }
}
