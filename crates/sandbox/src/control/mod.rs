//! `/_control`: steers a running sandbox from outside its process, in JSON.
//!
//! Not part of any provider's API, never delayed or spoilt by a fault, and open to
//! whoever reaches the loopback port: it holds no secret and shows none.

mod google;
mod square;

use std::collections::BTreeMap;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{Clock, rfc3339};
use crate::faults::{BadFault, Fault, FaultState, Faults};
use crate::oauth;
use crate::requests::{Request, RequestLog, Totals};
use crate::running::StandIns;
use crate::square::NoMerchant;

#[derive(Debug, Clone)]
pub(crate) struct Controls {
    pub standins: StandIns,
    pub faults: Faults,
    pub requests: RequestLog,
    pub clock: Clock,
}

pub(crate) fn router(controls: Controls) -> Router {
    let standins = controls.standins.clone();
    let mut router = Router::new()
        .route("/", get(overview))
        .route(
            "/faults",
            get(list_faults).post(add_fault).delete(clear_faults),
        )
        .route("/requests", get(list_requests).delete(clear_requests))
        .route("/clock", get(read_clock).post(move_clock))
        .with_state(controls);
    for oauth in standins.oauths() {
        let provider = oauth.rules.provider;
        router = router.nest(&format!("/{provider}"), oauth::control::router(oauth));
    }
    let StandIns { square, google, .. } = standins;
    router
        .nest("/square", square::router(square))
        .nest("/google", google::router(google))
}

/// More at once would hold an account's data for seconds.
const CHANGES_MAX: u32 = 10_000;

fn too_many(changes: u32) -> Refused {
    let message = format!("changes is {changes}; allowed is 0 to {CHANGES_MAX}");
    Refused(StatusCode::BAD_REQUEST, message)
}

/// `{"error": "what is wrong and what is allowed"}`
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl From<BadFault> for Refused {
    fn from(error: BadFault) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<NoMerchant> for Refused {
    fn from(error: NoMerchant) -> Self {
        Self(StatusCode::NOT_FOUND, error.to_string())
    }
}

type Input<T> = Result<Json<T>, JsonRejection>;

async fn overview(State(controls): State<Controls>) -> Json<Value> {
    let providers: BTreeMap<&str, String> = controls
        .standins
        .oauths()
        .iter()
        .map(|oauth| oauth.rules.provider)
        .map(|provider| (provider, format!("/{provider}")))
        .collect();
    Json(json!({
        "providers": providers,
        "control": [
            "GET, POST, DELETE /_control/faults",
            "GET, DELETE /_control/requests?limit=100",
            "GET, POST /_control/clock {advance_ms}",
            "GET /_control/PROVIDER/oauth",
            "POST /_control/PROVIDER/consent {parameters, answer}",
            "POST, DELETE /_control/PROVIDER/answer {decision, account, scopes, user_scopes}",
            "POST /_control/PROVIDER/clients {client_id, client_secret, redirect_uris, rotates}",
            "POST /_control/PROVIDER/lives {access_seconds, code_seconds}",
            "POST /_control/PROVIDER/expire {account, tokens}",
            "POST /_control/PROVIDER/revoke {account}",
            "GET, DELETE /_control/PROVIDER/calls",
            "GET /_control/square",
            "POST /_control/square/advance {changes, merchant_id}",
            "POST /_control/square/changes {kind, id, merchant_id}",
            "POST /_control/square/tokens {token, merchant_id, status, scopes, expires_at}",
            "GET /_control/google",
            "POST /_control/google/advance {changes, account}",
            "POST /_control/google/changes {kind, id, account}",
            "POST /_control/google/files {file, account}",
        ],
        "now": rfc3339(controls.clock.now_ms()),
    }))
}

async fn list_faults(State(controls): State<Controls>) -> Json<Vec<FaultState>> {
    Json(controls.faults.list())
}

async fn add_fault(
    State(controls): State<Controls>,
    fault: Input<Fault>,
) -> Result<Json<Vec<FaultState>>, Refused> {
    controls.faults.add(fault?.0)?;
    Ok(Json(controls.faults.list()))
}

async fn clear_faults(State(controls): State<Controls>) -> StatusCode {
    controls.faults.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recent {
    #[serde(default = "hundred")]
    limit: usize,
}

fn hundred() -> usize {
    100
}

#[derive(Serialize)]
struct Requests {
    totals: BTreeMap<String, Totals>,
    recent: Vec<Request>,
}

async fn list_requests(
    State(controls): State<Controls>,
    query: Result<Query<Recent>, QueryRejection>,
) -> Result<Json<Requests>, Refused> {
    let Query(Recent { limit }) = query?;
    Ok(Json(Requests {
        totals: controls.requests.totals(),
        recent: controls.requests.recent(limit),
    }))
}

async fn clear_requests(State(controls): State<Controls>) -> StatusCode {
    controls.requests.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance_ms: u64,
}

async fn read_clock(State(controls): State<Controls>) -> Json<Value> {
    Json(json!({ "now": rfc3339(controls.clock.now_ms()) }))
}

async fn move_clock(
    State(controls): State<Controls>,
    input: Input<Move>,
) -> Result<Json<Value>, Refused> {
    controls.clock.advance_ms(input?.0.advance_ms);
    Ok(read_clock(State(controls)).await)
}
