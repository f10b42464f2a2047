//! The Slack stand-in: OAuth v2, `auth.test`, `auth.revoke`, `conversations.list`.
//!
//! Source: the method references of Slack's API docs.

mod methods;
pub mod oauth;
mod workspaces;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::clock::Clock;
use crate::faults::Refusal;
use crate::oauth::{Account, OAuth};

/// The workspace that is taken unless another is named.
pub const DEFAULT_TEAM: &str = "T0SANDBOX1";
pub const OTHER_TEAM: &str = "T0SANDBOX2";

/// Workspaces and their grants. Clones share them.
#[derive(Debug, Clone)]
pub struct Slack {
    pub oauth: OAuth,
}

impl Slack {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let workspaces = vec![
            Account::new(DEFAULT_TEAM, "Harvest Bistro"),
            Account::new(OTHER_TEAM, "Corner Bakery"),
        ];
        Self {
            oauth: oauth::oauth(workspaces, clock),
        }
    }
}

pub(crate) fn router(slack: &Slack) -> Router {
    Router::new()
        .route("/api/{method}", get(methods::call).post(methods::call))
        .with_state(slack.oauth.clone())
        .merge(slack.oauth.router())
}

/// How Slack words a refusal that a fault asked for.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    let not_ok = |error: &str| Json(json!({ "ok": false, "error": error }));
    match refusal {
        Refusal::RateLimited | Refusal::Quota(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            [(RETRY_AFTER, "30")],
            not_ok("ratelimited"),
        )
            .into_response(),
        Refusal::ServerError(status) => {
            let page = "<!doctype html><title>Slack</title><p>Server Error</p>";
            (status, Html(page)).into_response()
        }
        Refusal::TokenExpired => not_ok("token_expired").into_response(),
        Refusal::TokenRevoked => not_ok("token_revoked").into_response(),
        Refusal::InsufficientScopes => not_ok("missing_scope").into_response(),
    }
}
