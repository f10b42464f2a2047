//! What a callback must bring: a state of ours, in time, once, from the browser that began,
//! on its provider's path.

use axum::http::Method;
use chrono::TimeDelta;
use serde_json::json;

use super::{
    browser::Browser,
    desk::{Desk, PUBLIC_URL, Plan, nothing, parameter},
};

/// A page that says no, and nothing exchanged.
async fn refused(desk: &Desk, browser: &mut Browser<'_>, query: &str) -> String {
    let page = browser.back("square", query).await;
    assert_eq!(page.status, 400, "{}", page.text);
    assert!(
        page.text.contains("This answer cannot be used"),
        "{}",
        page.text
    );
    assert_eq!(desk.exchanges().await, 0);
    page.text
}

#[tokio::test]
async fn a_callback_without_a_state_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, _) = desk.opened("square", nothing()).await;
    refused(&desk, &mut browser, "code=abc").await;
    refused(&desk, &mut browser, "code=abc&state=").await;
    assert_eq!(desk.consent(&id).await["status"], "opened");
}

#[tokio::test]
async fn an_unknown_state_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (_, mut browser, state) = desk.opened("square", nothing()).await;
    refused(&desk, &mut browser, "code=abc&state=unknown").await;
    refused(&desk, &mut browser, &format!("code=abc&state={state}A")).await;
    let shorter = &state[..state.len() - 1];
    refused(&desk, &mut browser, &format!("code=abc&state={shorter}")).await;
}

#[tokio::test]
async fn a_state_that_came_too_late_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, state) = desk.opened("square", nothing()).await;
    desk.clock.advance(TimeDelta::seconds(601));
    let page = refused(&desk, &mut browser, &format!("code=abc&state={state}")).await;
    assert!(page.contains("ten minutes"), "{page}");
    assert_eq!(desk.consent(&id).await["status"], "expired");
}

#[tokio::test]
async fn a_ticket_that_is_opened_too_late_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (_, url) = desk.ask("square", nothing()).await;
    desk.clock.advance(TimeDelta::seconds(601));
    let page = Browser::new(&desk).get(&url).await;
    assert_eq!(page.status, 410, "{}", page.text);
    assert!(page.headers.get("set-cookie").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_works_once() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (_, url) = desk.ask("square", nothing()).await;
    let mut browser = Browser::new(&desk);
    let back = browser
        .follow(&url, |at| at.contains("/callback/"))
        .await
        .address;
    let cookies = browser.cookies.clone();
    assert_eq!(browser.get(&back).await.status, 200);
    // Also with the cookie that the end has taken away.
    browser.cookies = cookies;
    let again = browser.get(&back).await;
    assert_eq!(again.status, 400);
    assert!(again.text.contains("It was used before"), "{}", again.text);
    assert_eq!(desk.exchanges().await, 1);
}

async fn of_100_callbacks_one_is_exchanged(plan: Plan) {
    let desk = Desk::new(plan).await;
    let _worker = desk.worker();
    let (id, url) = desk.ask("square", nothing()).await;
    let mut browser = Browser::new(&desk);
    let back = browser
        .follow(&url, |at| at.contains("/callback/"))
        .await
        .address;
    let browsers = (0..100).map(|_| {
        let mut twin = Browser::new(&desk);
        twin.cookies.clone_from(&browser.cookies);
        let back = back.clone();
        async move { twin.get(&back).await.status.as_u16() }
    });
    let statuses = futures::future::join_all(browsers).await;
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(200), count(400)), (1, 99), "{statuses:?}");
    assert_eq!(desk.exchanges().await, 1);
    assert_eq!(desk.consent(&id).await["status"], "connected");
    let codes = desk.sandbox.square.oauth.token_calls();
    let arrived: u64 = codes.values().map(|calls| calls.arrived).sum();
    assert_eq!(arrived, 1, "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_parallel_callbacks_one_is_exchanged_on_sqlite() {
    of_100_callbacks_one_is_exchanged(Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_parallel_callbacks_one_is_exchanged_on_postgres() {
    of_100_callbacks_one_is_exchanged(Plan {
        postgres: true,
        ..Plan::default()
    })
    .await;
}

#[tokio::test]
async fn a_consent_of_another_org_is_neither_shown_nor_used() {
    let desk = Desk::new(Plan::default()).await;
    let (id, _, state) = desk.opened("square", nothing()).await;
    let path = format!("/consents/{id}");
    desk.call(&desk.stranger, Method::GET, &path, None)
        .await
        .problem(404, "not-found");
    // The other org's browser brings the state of this one.
    let asked = desk
        .call(
            &desk.stranger,
            Method::POST,
            "/authorize/square",
            Some(nothing()),
        )
        .await
        .json(201);
    let mut theirs = Browser::new(&desk);
    theirs.get(asked["url"].as_str().unwrap()).await;
    refused(&desk, &mut theirs, &format!("code=abc&state={state}")).await;
}

#[tokio::test]
async fn a_connection_of_another_org_cannot_be_named() {
    let desk = Desk::new(Plan::default()).await;
    let token = square_token();
    let body = json!({ "provider": "square", "credential": { "access_token": token } });
    let theirs = desk
        .call(&desk.stranger, Method::POST, "/connections", Some(body))
        .await
        .json(202);
    let body = json!({ "connection_id": theirs["connection"]["id"] });
    let problem = desk.post("/authorize/square", body).await;
    let problem = problem.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/connection_id");
}

fn square_token() -> &'static str {
    patchbay_sandbox::square::DEFAULT_TOKEN
}

#[tokio::test]
async fn a_callback_without_its_cookie_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, state) = desk.opened("square", nothing()).await;
    browser.cookies.clear();
    let page = refused(&desk, &mut browser, &format!("code=abc&state={state}")).await;
    assert!(page.contains("another browser"), "{page}");
    assert_eq!(desk.consent(&id).await["status"], "opened");
}

#[tokio::test]
async fn the_cookie_of_another_flow_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (_, first, state) = desk.opened("square", nothing()).await;
    let (_, mut second, _) = desk.opened("square", nothing()).await;
    refused(&desk, &mut second, &format!("code=abc&state={state}")).await;
    // Also under the name that the first flow looks for.
    let name = first.cookies.keys().next().unwrap().clone();
    let value = second.cookies.values().next().unwrap().clone();
    second.cookies = [(name.clone(), value)].into();
    refused(&desk, &mut second, &format!("code=abc&state={state}")).await;
    // And planted beside the right one.
    let mut planted = Browser::new(&desk);
    planted.headers = vec![(
        "cookie",
        format!("{name}={}; {name}=planted", first.cookies[&name]),
    )];
    refused(&desk, &mut planted, &format!("code=abc&state={state}")).await;
}

#[tokio::test]
async fn a_callback_on_another_providers_path_is_refused() {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, state) = desk.opened("square", nothing()).await;
    for provider in ["google_drive", "Square", "nobody"] {
        let page = browser
            .back(provider, &format!("code=abc&state={state}"))
            .await;
        assert_eq!(page.status, 400, "{provider}: {}", page.text);
    }
    assert_eq!(desk.exchanges().await, 0);
    assert_eq!(desk.consent(&id).await["status"], "opened");
}

#[tokio::test]
async fn forged_host_headers_change_no_address() {
    let desk = Desk::new(Plan::default()).await;
    let (_, url) = desk.ask("square", nothing()).await;
    assert!(url.starts_with(&format!("{PUBLIC_URL}/connect/")), "{url}");
    let mut browser = Browser::new(&desk);
    browser.headers = vec![
        ("host", "evil.example".into()),
        ("x-forwarded-host", "evil.example".into()),
        ("x-forwarded-proto", "https".into()),
        ("forwarded", "host=evil.example;proto=https".into()),
    ];
    let sent = browser.get(&url).await;
    let redirect_uri = parameter(sent.header("location"), "redirect_uri").unwrap();
    let ours = format!("{PUBLIC_URL}/api/integrations/callback/square");
    assert_eq!(redirect_uri, ours);
    assert!(!sent.header("location").contains("evil"));
    assert!(!sent.header("set-cookie").contains("evil"));
}

#[tokio::test]
async fn a_ticket_is_opened_by_one_browser_which_may_come_again() {
    let desk = Desk::new(Plan::default()).await;
    let (_, url) = desk.ask("square", nothing()).await;
    let mut browser = Browser::new(&desk);
    let first = browser.get(&url).await;
    let other = Browser::new(&desk).get(&url).await;
    assert_eq!(other.status, 410, "{}", other.text);
    // The same browser again: another state, and the one before is dead.
    let again = browser.get(&url).await;
    assert_eq!(again.status, 303, "{}", again.text);
    let state = |said: &super::desk::Said| parameter(said.header("location"), "state").unwrap();
    assert_ne!(state(&first), state(&again));
    refused(
        &desk,
        &mut browser,
        &format!("code=abc&state={}", state(&first)),
    )
    .await;
}

#[tokio::test]
async fn looking_and_loading_ahead_use_nothing_up() {
    let desk = Desk::new(Plan::default()).await;
    let (id, url) = desk.ask("square", nothing()).await;
    let mut ahead = Browser::new(&desk);
    ahead.headers = vec![("sec-purpose", "prefetch;prerender".into())];
    assert_eq!(ahead.get(&url).await.status, 204);
    let path = url.strip_prefix(PUBLIC_URL).unwrap();
    let head = axum::http::Request::head(path).body(axum::body::Body::empty());
    assert_eq!(desk.send(head.unwrap()).await.status, 204);
    assert_eq!(desk.consent(&id).await["status"], "open");
    assert_eq!(Browser::new(&desk).get(&url).await.status, 303);
}

#[tokio::test]
async fn over_https_the_cookie_is_host_bound_and_nothing_of_the_flow_stands_in_clear() {
    let desk = Desk::new(Plan::with("public_url", "https://patchbay.example")).await;
    let (_, url) = desk.ask("square", nothing()).await;
    let said = Browser::new(&desk).get(&url).await;
    let cookie = said.header("set-cookie");
    assert!(cookie.starts_with("__Host-pb-consent-"), "{cookie}");
    for attribute in [
        "; Secure",
        "; HttpOnly",
        "; SameSite=Lax",
        "; Path=/",
        "; Max-Age=600",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert_eq!(said.header("cache-control"), "no-store");
    assert_eq!(said.header("referrer-policy"), "no-referrer");
    let state = parameter(said.header("location"), "state").unwrap();
    let value = cookie.split_once('=').unwrap().1.split(';').next().unwrap();
    let ticket = url.rsplit('/').next().unwrap();
    for text in [state.as_str(), value, ticket] {
        // 256 bits in base64url.
        assert_eq!(text.len(), 43);
        assert!(!desk.holds(text).await, "stands in the database");
    }
}
