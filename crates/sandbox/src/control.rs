//! `/_control`: steers a running sandbox from outside its process, in JSON.
//!
//! Not part of any provider's API, never delayed or spoilt by a fault, and open to
//! whoever reaches the loopback port: it holds no secret and shows none.

use std::collections::{BTreeMap, HashMap};

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{Clock, rfc3339};
use crate::faults::{BadFault, Fault, FaultState, Faults};
use crate::oauth;
use crate::requests::{Request, RequestLog, Totals};
use crate::running::StandIns;
use crate::square::data::{Change, ChangeKind, Summary};
use crate::square::{DEFAULT_MERCHANT, NoMerchant, Token};

#[derive(Debug, Clone)]
pub(crate) struct Controls {
    pub standins: StandIns,
    pub faults: Faults,
    pub requests: RequestLog,
    pub clock: Clock,
}

pub(crate) fn router(controls: Controls) -> Router {
    let StandIns { square, google } = controls.standins.clone();
    let oauth = [square.oauth, google.oauth]
        .into_iter()
        .fold(Router::new(), |router, oauth| {
            let provider = oauth.rules.provider;
            router.nest(&format!("/{provider}"), oauth::control::router(oauth))
        });
    Router::new()
        .route("/", get(overview))
        .route(
            "/faults",
            get(list_faults).post(add_fault).delete(clear_faults),
        )
        .route("/requests", get(list_requests).delete(clear_requests))
        .route("/clock", get(read_clock).post(move_clock))
        .route("/square", get(square_summaries))
        .route("/square/advance", post(square_advance))
        .route("/square/changes", post(square_change))
        .route("/square/tokens", post(square_token))
        .with_state(controls)
        .merge(oauth)
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
    Json(json!({
        "providers": { "square": "/square" },
        "control": [
            "GET, POST, DELETE /_control/faults",
            "GET, DELETE /_control/requests?limit=100",
            "GET, POST /_control/clock {advance_ms}",
            "GET /_control/square",
            "POST /_control/square/advance {changes, merchant_id}",
            "POST /_control/square/changes {kind, id, merchant_id}",
            "POST /_control/square/tokens {token, merchant_id, status, scopes, expires_at}",
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

async fn square_summaries(State(controls): State<Controls>) -> Json<HashMap<String, Summary>> {
    Json(controls.standins.square.summaries())
}

fn default_merchant() -> String {
    DEFAULT_MERCHANT.to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    changes: u32,
    #[serde(default = "default_merchant")]
    merchant_id: String,
}

/// More at once would hold the merchant's data for seconds.
const CHANGES_MAX: u32 = 10_000;

async fn square_advance(
    State(controls): State<Controls>,
    input: Input<Advance>,
) -> Result<Json<Vec<Change>>, Refused> {
    let Json(Advance {
        changes,
        merchant_id,
    }) = input?;
    if changes > CHANGES_MAX {
        let message = format!("changes is {changes}; allowed is 0 to {CHANGES_MAX}");
        return Err(Refused(StatusCode::BAD_REQUEST, message));
    }
    Ok(Json(
        controls.standins.square.advance(&merchant_id, changes)?,
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneChange {
    kind: ChangeKind,
    id: Option<String>,
    #[serde(default = "default_merchant")]
    merchant_id: String,
}

async fn square_change(
    State(controls): State<Controls>,
    input: Input<OneChange>,
) -> Result<Json<Change>, Refused> {
    let Json(OneChange {
        kind,
        id,
        merchant_id,
    }) = input?;
    let change = controls
        .standins
        .square
        .change(&merchant_id, kind, id.as_deref())?;
    let nothing = || {
        Refused(
            StatusCode::NOT_FOUND,
            "there is nothing such to change".to_owned(),
        )
    };
    change.map(Json).ok_or_else(nothing)
}

async fn square_token(
    State(controls): State<Controls>,
    input: Input<Token>,
) -> Result<StatusCode, Refused> {
    controls.standins.square.set_token(input?.0)?;
    Ok(StatusCode::NO_CONTENT)
}
