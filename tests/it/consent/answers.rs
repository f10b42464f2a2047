//! What a token endpoint may answer, and where it may stand.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use patchbay_core::{
    failure::FailureKind,
    outbound::{AddressPolicy, Limits, Outbound, OutboundConfig},
    secret::{Secret, SecretFields},
};
use patchbay_providers::oauth::{self, OauthClient, TokenCall, TokenError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    browser::Browser,
    desk::{Desk, Plan, Said, nothing, parameter},
    generic::with_testbed,
    hostile::{Answer, Hostile, grant},
};

fn plan(url: &str) -> Plan {
    let url = url.to_owned();
    let mut plan = Plan::with("oauth.testbed.client_id", "patchbay");
    plan.registry = Box::new(move |registry| with_testbed(registry, &url, true));
    plan
}

/// Goes through the flow against this answer; the page at the end, the consent, how often the
/// token endpoint was asked, and what it was sent first.
async fn exchanged(answer: Answer) -> (Said, Value, Vec<String>) {
    let hostile = Hostile::answering(answer).await;
    let desk = Desk::new(plan(&hostile.url)).await;
    let _worker = desk.worker();
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}&iss={}", hostile.url);
    let page = browser.back("testbed", &query).await;
    let consent = desk.consent(&id).await;
    let connected = consent["status"] == "connected";
    assert_eq!(desk.connections().await.len(), usize::from(connected));
    (page, consent, hostile.asked())
}

/// An answer that is none: the code may be used up, so it is not sent again.
async fn unusable(answer: Answer) {
    let said = answer.body.chars().take(80).collect::<String>();
    let (page, consent, asked) = exchanged(answer).await;
    assert_eq!(page.status, 400, "{said}: {}", page.text);
    assert_eq!(consent["status"], "failed", "{said}: {consent:#}");
    assert_eq!(
        consent["failure"]["kind"], "unknown_outcome",
        "{said}: {consent:#}"
    );
    assert_eq!(asked.len(), 1, "{said}");
}

fn granting(change: impl FnOnce(&mut Value)) -> Answer {
    let mut body = grant();
    change(&mut body);
    Answer::json(&body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_as_the_standard_has_it_connects() {
    let (page, consent, asked) = exchanged(Answer::json(&grant())).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(consent["status"], "connected");
    assert_eq!(asked.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_from_the_token_endpoint_is_not_followed() {
    let mut answer = Answer::json(&grant());
    answer.status = 302;
    answer.location = Some("/elsewhere");
    unusable(answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn html_is_no_grant() {
    let mut answer = Answer::text("<html><body>Welcome</body></html>");
    answer.content_type = "text/html";
    unusable(answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seventy_kilobytes_are_no_grant() {
    unusable(granting(|body| {
        body["padding"] = json!("x".repeat(70 * 1024))
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_usable_token_is_no_grant() {
    for token in [
        Value::Null,
        json!(""),
        json!(7),
        json!(["t"]),
        json!("a\nb"),
    ] {
        unusable(granting(|body| body["access_token"] = token)).await;
    }
    unusable(Answer::text("{}")).await;
    unusable(Answer::text("[]")).await;
    unusable(Answer::text("\"an-access-token-0123456789\"")).await;
    unusable(Answer::text("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_type_is_no_grant() {
    unusable(granting(|body| body["token_type"] = json!("mac"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_huge_or_textual_expiry_is_no_grant() {
    for expiry in [
        json!(-1),
        json!(0),
        json!(1e30),
        json!(4_000_000_000_u64),
        json!("3600"),
        json!(true),
    ] {
        unusable(granting(|body| body["expires_in"] = expiry)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_keys_are_no_grant() {
    let text = grant().to_string();
    let doubled = text.replacen('{', r#"{"access_token":"another-token-0123456789","#, 1);
    unusable(Answer::text(doubled)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_code_is_refused_and_a_wrong_client_is_the_operators() {
    for (code, kind) in [("invalid_grant", "auth"), ("invalid_client", "internal")] {
        let mut answer = Answer::json(&json!({ "error": code }));
        answer.status = 400;
        let (_, consent, asked) = exchanged(answer).await;
        assert_eq!(consent["failure"]["kind"], kind, "{consent:#}");
        assert_eq!(asked.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_scopes_connect_degraded_and_say_what_is_missing() {
    let hostile =
        Hostile::answering(granting(|body| body["scope"] = json!("openid files.read"))).await;
    let desk = Desk::new(plan(&hostile.url)).await;
    let _worker = desk.worker();
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}&iss={}", hostile.url);
    let page = browser.back("testbed", &query).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("with less than was asked for"),
        "{}",
        page.text
    );
    assert!(page.text.contains("files.write"), "{}", page.text);
    assert!(
        page.text.contains("Pull the list of folders"),
        "{}",
        page.text
    );

    let consent = desk.consent(&id).await;
    let connection = consent["connection_id"].as_str().unwrap();
    let shown = desk.connection(connection).await;
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["health"], "degraded");
    assert_eq!(shown["last_error"]["kind"], "scope");
    let missing = json!({ "sync_folders": ["files.write"] });
    assert_eq!(shown["capabilities_missing"], missing);
    let sync = |streams: Value| desk.post_to(connection, "sync", streams);
    let problem = sync(json!({ "mode": "full", "streams": ["folders"] })).await;
    let problem = problem.problem(409, "scope-missing");
    assert!(problem["detail"].as_str().unwrap().contains("files.write"));
    // What was granted goes on, and is all that "everything" means.
    sync(json!({ "mode": "full", "streams": ["files"] }))
        .await
        .json(202);
    let all = sync(json!({ "mode": "full" })).await.json(202);
    assert_eq!(all["jobs"].as_array().unwrap().len(), 1, "{all:#}");
    assert_eq!(all["jobs"][0]["args"]["stream"], "files");
}

/// What a token endpoint does with the verifier only it knows: one that ignores it gives a
/// grant for any code. All we can do is to send a challenge with each consent and the
/// verifier that belongs to it with the exchange, never in plain; a code that was stolen still
/// needs a state and the cookie of the browser that began.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_ignores_pkce_is_still_sent_the_challenges_verifier() {
    let hostile = Hostile::answering(Answer::json(&grant())).await;
    let desk = Desk::new(plan(&hostile.url)).await;
    let _worker = desk.worker();
    let (_, url) = desk.ask("testbed", nothing()).await;
    let mut browser = Browser::new(&desk);
    let sent = browser.get(&url).await;
    let location = sent.header("location").to_owned();
    let challenge = parameter(&location, "code_challenge").unwrap();
    assert_eq!(
        parameter(&location, "code_challenge_method").unwrap(),
        "S256"
    );
    let state = parameter(&location, "state").unwrap();
    // A stolen code in another browser comes to nothing before anybody is asked.
    let query = format!("code=stolen&state={state}&iss={}", hostile.url);
    let thief = Browser::new(&desk).back("testbed", &query).await;
    assert_eq!(thief.status, 400);
    assert!(hostile.asked().is_empty());

    browser
        .back("testbed", &query.replace("stolen", "ours"))
        .await;
    let asked = hostile.asked();
    let body = format!("http://x/?{}", asked[0]);
    let verifier = parameter(&body, "code_verifier").unwrap();
    assert!(verifier.len() >= 43);
    let hashed = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    assert_eq!(hashed, challenge);
    assert!(!desk.holds(&verifier).await, "stands in the database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_address_that_points_inside_is_not_asked() {
    let hostile = Hostile::answering(Answer::json(&grant())).await;
    let inside = Plan {
        reaches_loopback: false,
        ..plan(&hostile.url)
    };
    let desk = Desk::new(inside).await;
    let _worker = desk.worker();
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}&iss={}", hostile.url);
    browser.back("testbed", &query).await;
    let consent = desk.consent(&id).await;
    assert_eq!(consent["failure"]["kind"], "blocked", "{consent:#}");
    assert!(hostile.asked().is_empty());
}

#[tokio::test]
async fn a_revocation_address_that_points_inside_is_not_asked() {
    let hostile = Hostile::answering(Answer::text("")).await;
    let desk = Desk::new(plan(&hostile.url)).await;
    let providers = &desk.ctx.providers;
    let provider = providers.get("testbed").unwrap();
    let place = providers.oauth(&**provider, &json!({})).unwrap();
    let policy = AddressPolicy { allow: Vec::new() };
    let outbound = Outbound::new(OutboundConfig {
        policy,
        ..OutboundConfig::default()
    })
    .unwrap();
    let client = OauthClient {
        id: "patchbay".into(),
        secret: Some(Secret::new("a-secret")),
    };
    let call = TokenCall {
        outbound: &outbound,
        place: &place,
        client: &client,
        clock: &desk.clock,
        trace_context: None,
        limits: Limits::default(),
        exempt: false,
    };
    let tokens = [("access_token", "a"), ("refresh_token", "r")];
    let fields = SecretFields(
        tokens
            .map(|(name, text)| (name.into(), Secret::new(text)))
            .into(),
    );
    let error = oauth::revoke(&call, &fields).await.unwrap_err();
    let TokenError::Misconfigured(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind, FailureKind::Blocked);
    assert!(hostile.asked().is_empty());
}

/// Comes back with this `iss`.
async fn issuer(advertised: bool, iss: impl FnOnce(&str) -> Option<String>) -> Value {
    let hostile = Hostile::answering(Answer::json(&grant())).await;
    let url = hostile.url.clone();
    let mut plan = Plan::with("oauth.testbed.client_id", "patchbay");
    plan.registry = Box::new(move |registry| with_testbed(registry, &url, advertised));
    let desk = Desk::new(plan).await;
    let _worker = desk.worker();
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let iss = iss(&hostile.url).map(|iss| format!("&iss={iss}"));
    let query = format!("code=a-code&state={state}{}", iss.unwrap_or_default());
    browser.back("testbed", &query).await;
    let consent = desk.consent(&id).await;
    let asked = usize::from(consent["status"] == "connected");
    assert_eq!(hostile.asked().len(), asked);
    consent
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_issuer_is_taken_and_one_that_need_not_come_may_be_missing() {
    assert_eq!(
        issuer(true, |url| Some(url.into())).await["status"],
        "connected"
    );
    assert_eq!(issuer(false, |_| None).await["status"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_issuer_is_refused_and_burns_the_state() {
    for wrong in ["https://evil.example", ""] {
        let consent = issuer(false, |_| Some(wrong.into())).await;
        assert_eq!(consent["status"], "failed", "{wrong}: {consent:#}");
        assert_eq!(consent["failure"]["kind"], "protocol");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_advertised_and_missing_is_refused() {
    assert_eq!(issuer(true, |_| None).await["status"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_with_a_slash_more_or_other_case_is_refused() {
    assert_eq!(
        issuer(true, |url| Some(format!("{url}/"))).await["status"],
        "failed"
    );
    assert_eq!(
        issuer(true, |url| Some(url.to_uppercase())).await["status"],
        "failed"
    );
    assert_eq!(
        issuer(true, |url| Some(url.replace("http", "HTTP"))).await["status"],
        "failed"
    );
}
