//! A provider whose codes bring a token that lives for an hour, which is exchanged once more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    desk::{Desk, Plan, Said, nothing},
    generic::{redeclared, with_testbed},
};

const SHORT: &str = "a-short-token-0123456789";
const LONG: &str = "a-long-token-9876543210";
const SECRET: &str = "a-secret-of-the-deployment";

/// What the second exchange answers, and with which status.
type Answer = (u16, Value);

#[derive(Clone)]
struct Script {
    answer: Answer,
    /// Codes that were exchanged, and queries of second exchanges.
    codes: Arc<Mutex<u32>>,
    asked: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

/// The stand-in.
struct TwoSteps {
    url: String,
    script: Script,
    _stop: DropGuard,
}

impl TwoSteps {
    async fn answering(status: u16, body: Value) -> Self {
        let script = Script {
            answer: (status, body),
            codes: Arc::default(),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/token", post(exchanged))
            .route("/access_token", get(exchanged_again))
            .route("/me", get(me))
            .with_state(script.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
        });
        Self {
            url,
            script,
            _stop: stop.drop_guard(),
        }
    }

    /// How often a code was exchanged, and what the second exchange was asked.
    fn seen(&self) -> (u32, Vec<BTreeMap<String, String>>) {
        let codes = *self.script.codes.lock().unwrap();
        (codes, self.script.asked.lock().unwrap().clone())
    }
}

async fn exchanged(State(script): State<Script>) -> Json<Value> {
    *script.codes.lock().unwrap() += 1;
    Json(json!({
        "access_token": SHORT, "token_type": "bearer", "expires_in": 3600,
        "scope": "openid files.read files.write",
    }))
}

async fn exchanged_again(
    State(script): State<Script>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    script.asked.lock().unwrap().push(query);
    let (status, body) = script.answer;
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// Opens to the lasting token alone.
async fn me(headers: HeaderMap) -> Response {
    let token = headers.get("authorization").and_then(|it| it.to_str().ok());
    if token == Some(&format!("Bearer {LONG}")) {
        Json(json!({ "sub": "alice" })).into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

fn lasting() -> Value {
    json!({ "access_token": LONG, "token_type": "bearer", "expires_in": 5_183_944 })
}

async fn desk(at: &TwoSteps) -> Desk {
    let url = at.url.clone();
    let mut plan = Plan::with("oauth.testbed.client_id", "patchbay");
    plan.registry = Box::new(move |registry| {
        let registry = with_testbed(registry, &url, false);
        redeclared(registry, "testbed", |manifest| {
            let oauth = &mut manifest["auth"]["oauth"];
            oauth["refresh_tokens"] = json!("none");
            oauth["long_lived"] = json!({
                "address": "https://op.example/access_token",
                "grant_type": "ig_exchange_token",
                "client_secret_parameter": "client_secret",
            });
        })
    });
    Desk::new(plan).await
}

/// Comes back with a code; the page, and the consent as it stands then.
async fn came_back(desk: &Desk) -> (Said, Value) {
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}");
    let page = browser.back("testbed", &query).await;
    (page, desk.consent(&id).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lasting_token_is_what_is_stored() {
    let at = TwoSteps::answering(200, lasting()).await;
    let desk = desk(&at).await;
    let _worker = desk.worker();
    let (page, consent) = came_back(&desk).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(consent["status"], "connected", "{consent:#}");
    let connection = consent["connection_id"].as_str().unwrap();
    let secret = desk.secret(connection).await;
    assert_eq!(secret["access_token"].expose(), LONG);
    let (codes, asked) = at.seen();
    let query = BTreeMap::from([
        ("grant_type".to_owned(), "ig_exchange_token".to_owned()),
        ("access_token".to_owned(), SHORT.to_owned()),
        ("client_secret".to_owned(), SECRET.to_owned()),
    ]);
    assert_eq!((codes, asked), (1, vec![query]));

    let shown = desk.connection(connection).await;
    let credential = &shown["credential"];
    let ends = credential["expires_at"].as_str().unwrap();
    let ends = chrono::DateTime::parse_from_rfc3339(ends).unwrap();
    let left = ends.to_utc() - desk.ctx.clock.now();
    assert!(left.num_days() >= 59, "{credential:#}");
    assert_eq!(
        credential["scopes"],
        json!(["openid", "files.read", "files.write"]),
        "as the first answer said"
    );
}

/// The code is used up by then: nothing is stored, it is not sent again, a person connects anew.
async fn nothing_comes_of(status: u16, body: Value, kind: &str) {
    let at = TwoSteps::answering(status, body).await;
    let desk = desk(&at).await;
    let _worker = desk.worker();
    let (page, consent) = came_back(&desk).await;
    assert_eq!(page.status, 400, "{}", page.text);
    assert_eq!(consent["status"], "failed", "{consent:#}");
    let failure = &consent["failure"];
    assert_eq!(failure["kind"], kind, "{failure:#}");
    assert!(desk.connections().await.is_empty());
    let (codes, asked) = at.seen();
    assert_eq!((codes, asked.len()), (1, 1), "{status}");
    for secret in [SHORT, SECRET] {
        assert!(!consent.to_string().contains(secret), "{consent:#}");
        assert!(!desk.holds(secret).await, "stands in the database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_second_exchange_is_ambiguous() {
    for (status, body) in [
        (503, json!({})),
        (429, json!({})),
        (504, json!({})),
        (200, json!({ "token_type": "bearer" })),
    ] {
        nothing_comes_of(status, body, "unknown_outcome").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_second_exchange_says_so() {
    let refused =
        json!({ "error": "invalid_grant", "error_description": format!("{SHORT} ended") });
    nothing_comes_of(400, refused, "auth").await;
}
