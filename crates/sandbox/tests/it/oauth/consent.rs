//! The consent page: what a person sees and decides.

use serde_json::{Value, json};

use super::{BACK, browse, in_query, press};
use crate::http::control;
use crate::small;

const PAGE: &str = "/google/o/oauth2/v2/auth";
const READ: &str = "https://www.googleapis.com/auth/drive.readonly";
const SEE: &str = "https://www.googleapis.com/auth/drive.metadata.readonly";

fn query() -> Vec<(&'static str, &'static str)> {
    vec![
        ("client_id", "sandbox-google"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        (
            "scope",
            "https://www.googleapis.com/auth/drive.readonly \
             https://www.googleapis.com/auth/drive.metadata.readonly",
        ),
        ("state", "s & t"),
    ]
}

fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut query = query();
    query.retain(|(key, _)| *key != name);
    query.push((name, value));
    query
}

#[tokio::test]
async fn the_page_lets_a_person_choose_account_and_scopes() {
    let sandbox = small().await;
    let page = browse(&sandbox, PAGE, &query()).await;
    assert_eq!(page.status, 200);
    let html = page.text();
    for wanted in [
        "<label for=\"account-chef@harvest-bistro.example\">",
        "id=\"account-office@harvest-bistro.example\"",
        "name=\"scope\" id=\"scope-1\"",
        "name=\"decision\" value=\"allow\" id=\"allow\">Allow<",
        "name=\"decision\" value=\"deny\" id=\"deny\">Deny<",
    ] {
        assert!(html.contains(wanted), "{wanted} in {html}");
    }
    assert!(page.head.contains("cache-control: no-store"));

    let choice = [
        ("account", "office@harvest-bistro.example"),
        ("scope", SEE),
        ("decision", "allow"),
    ];
    let answer = press(&sandbox, PAGE, &query(), &choice).await;
    assert_eq!(answer.status, 302);
    let back = answer.location();
    assert!(back.starts_with(BACK));
    assert_eq!(in_query(&back, "state").as_deref(), Some("s & t"));
    assert_eq!(in_query(&back, "scope").as_deref(), Some(SEE));
    assert!(in_query(&back, "code").is_some_and(|code| code.starts_with("4/0A")));
}

#[tokio::test]
async fn a_denial_and_nothing_ticked_go_back_as_access_denied() {
    let sandbox = small().await;
    let account = ("account", "chef@harvest-bistro.example");
    for form in [
        vec![account, ("scope", READ), ("decision", "deny")],
        vec![account, ("decision", "allow")],
    ] {
        let back = press(&sandbox, PAGE, &query(), &form).await.location();
        assert_eq!(in_query(&back, "error").as_deref(), Some("access_denied"));
        assert_eq!(in_query(&back, "state").as_deref(), Some("s & t"));
        assert_eq!(in_query(&back, "code"), None);
    }
    let query = [
        ("client_id", "sandbox-square"),
        ("redirect_uri", BACK),
        ("scope", "ITEMS_READ"),
        ("state", "x"),
        ("auto", "deny"),
    ];
    let back = browse(&sandbox, "/square/oauth2/authorize", &query).await;
    let expected = "error=access_denied&error_description=user_denied&state=x";
    assert!(back.location().ends_with(expected), "{}", back.location());
}

#[tokio::test]
async fn a_request_that_nobody_may_be_asked_about_goes_nowhere() {
    let sandbox = small().await;
    let mut repeated = query();
    repeated.push(("state", "again"));
    for (query, error) in [
        (with("client_id", "stranger"), "invalid_client"),
        (
            with("redirect_uri", "https://evil.example/"),
            "redirect_uri_mismatch",
        ),
        (
            with("redirect_uri", "http://127.0.0.1.evil.example/"),
            "redirect_uri_mismatch",
        ),
        (with("redirect_uri", ""), "redirect_uri_mismatch"),
        (with("response_type", "token"), "unsupported_response_type"),
        (with("response_type", ""), "invalid_request"),
        (with("scope", "drive"), "invalid_scope"),
        (with("scope", ""), "invalid_scope"),
        (with("code_challenge_method", "S256"), "invalid_request"),
        (with("code_challenge", "short"), "invalid_request"),
        (repeated, "invalid_request"),
    ] {
        for answer in [
            browse(&sandbox, PAGE, &query).await,
            press(&sandbox, PAGE, &query, &[("decision", "allow")]).await,
        ] {
            assert_eq!(answer.status, 400, "{query:?}");
            assert!(
                answer.text().contains(&format!("Error 400: {error}")),
                "{query:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_came_in_is_escaped_on_the_page() {
    let sandbox = small().await;
    let query = with("scope", "<script>alert(1)</script>");
    let page = browse(&sandbox, PAGE, &query).await.text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
}

#[tokio::test]
async fn a_registered_redirect_uri_is_matched_exactly() {
    let sandbox = small().await;
    let client = json!({"client_id": "app", "client_secret": "s",
        "redirect_uris": ["https://app.example/cb"]});
    let added = control(&sandbox, "POST /google/clients", client).await;
    assert_eq!(added.status, 204);
    for (uri, status) in [
        ("https://app.example/cb", 302),
        ("https://app.example/cb/", 400),
        ("https://app.example/cb?x=1", 400),
        ("https://APP.example/cb", 400),
        ("http://127.0.0.1/", 400),
    ] {
        let mut query = with("client_id", "app");
        query.retain(|(key, _)| *key != "redirect_uri");
        query.extend([("redirect_uri", uri), ("auto", "allow")]);
        assert_eq!(browse(&sandbox, PAGE, &query).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn a_script_answers_in_the_persons_place() {
    let sandbox = small().await;
    let mut query = query();
    query.extend([
        ("auto", "allow"),
        ("account", "office@harvest-bistro.example"),
        ("granted", READ),
    ]);
    let back = browse(&sandbox, PAGE, &query).await.location();
    assert_eq!(in_query(&back, "scope").as_deref(), Some(READ));

    let deny = json!({"decision": "deny"});
    control(&sandbox, "POST /google/answer", deny).await;
    let back = browse(&sandbox, PAGE, &self::query()).await.location();
    assert_eq!(in_query(&back, "error").as_deref(), Some("access_denied"));
    control(&sandbox, "DELETE /google/answer", Value::Null).await;
    assert_eq!(browse(&sandbox, PAGE, &self::query()).await.status, 200);

    let nobody = json!({"parameters": {"redirect_uri": BACK}, "answer": {"account": "nobody"}});
    let refused = control(&sandbox, "POST /google/consent", nobody).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn the_overview_shows_grants_and_neither_secret_nor_token() {
    let sandbox = small().await;
    let code = super::code(&sandbox, "square", json!({"redirect_uri": BACK})).await;
    let body = json!({"client_id": "sandbox-square", "client_secret": "sandbox-square-secret",
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK});
    let issued = super::post_json(&sandbox, "/square/oauth2/token", &body).await;
    let overview = control(&sandbox, "GET /square/oauth", Value::Null).await;
    let shown = overview.json();
    assert_eq!(shown["clients"][0]["client_id"], "sandbox-square");
    assert_eq!(shown["accounts"][1]["id"], "MLSANDBOX0002");
    assert_eq!(shown["grants"][0]["account"], "MLSANDBOX0001");
    assert_eq!(shown["token_calls"]["authorization_code"]["granted"], 1);
    let text = overview.text();
    for name in ["access_token", "refresh_token"] {
        let token = super::text(&issued.json(), name);
        assert!(!text.contains(&token));
    }
    assert!(!text.contains("sandbox-square-secret") && !text.contains(&code));
    let all = control(&sandbox, "GET ", Value::Null).await.json();
    assert_eq!(all["providers"].as_object().map(|all| all.len()), Some(5));
}
