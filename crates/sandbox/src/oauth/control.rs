//! `/_control/PROVIDER/...`: what a test does in place of people and time.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::OAuth;
use super::authorize::{Answer, Asked, Objection};
use super::ledger::{Client, Kind};
use super::params::Params;

/// A consent without a browser: the authorization request and the person's answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// As the query would have it; `client_id` defaults to the provider's default client,
    /// `scope` to everything it knows, `response_type` to `code`.
    pub parameters: Map<String, Value>,
    #[serde(default)]
    pub answer: Answer,
}

/// Where the browser would go.
#[derive(Debug, Clone, Serialize)]
pub struct Consented {
    pub redirect: String,
    /// Absent after a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl OAuth {
    /// Consents as a person would.
    ///
    /// # Errors
    /// What the person would have read instead of the page.
    pub fn consent(&self, consent: &Consent) -> Result<Consented, String> {
        let mut ledger = self.ledger();
        let mut params = Params::default();
        let given = &consent.parameters;
        let mut default = |name: &str, value: String| {
            if !given.contains_key(name) {
                params.push(name, value);
            }
        };
        if let Some(first) = ledger.clients.keys().next() {
            default("client_id", first.clone());
        }
        let known: Vec<&str> = self.rules.scopes.iter().map(|(name, _)| *name).collect();
        default("scope", known.join(&self.rules.separator.to_string()));
        default("response_type", "code".to_owned());
        for (name, value) in given {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            params.push(name, text);
        }
        let asked = match Asked::read(&ledger, params) {
            Ok(asked) => asked,
            Err(Objection::Page { error, description }) => {
                return Err(format!("{error}: {description}"));
            }
            Err(Objection::Back(to)) => {
                let redirect = to.into();
                return Ok(Consented {
                    redirect,
                    code: None,
                });
            }
        };
        let now_ms = self.clock.now_ms();
        let (to, code) = asked.answered(&mut ledger, &consent.answer, now_ms)?;
        Ok(Consented {
            redirect: to.into(),
            code,
        })
    }
}

/// To be nested under the provider's name.
pub(crate) fn router(oauth: OAuth) -> Router {
    Router::new()
        .route("/oauth", get(overview))
        .route("/consent", post(consent))
        .route("/answer", post(answer_always).delete(ask_again))
        .route("/clients", post(add_client))
        .route("/lives", post(set_lives))
        .route("/expire", post(expire))
        .route("/revoke", post(take_back))
        .route("/calls", get(calls).delete(clear_calls))
        .with_state(oauth)
}

/// `{"error": "..."}`
struct Refused(String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.body_text())
    }
}

type Input<T> = Result<Json<T>, JsonRejection>;

async fn overview(State(oauth): State<OAuth>) -> Json<Value> {
    let grants = oauth.grants();
    let calls = oauth.token_calls();
    let ledger = oauth.ledger();
    let clients: Vec<Value> = ledger
        .clients
        .values()
        .map(|client| json!({ "client_id": client.client_id, "redirect_uris": client.redirect_uris }))
        .collect();
    Json(json!({
        "authorize": oauth.rules.authorize_path,
        "token": oauth.rules.token_path,
        "clients": clients,
        "accounts": ledger.accounts,
        "scopes": oauth.rules.scopes.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "grants": grants,
        "token_calls": calls,
    }))
}

async fn consent(
    State(oauth): State<OAuth>,
    input: Input<Consent>,
) -> Result<Json<Consented>, Refused> {
    oauth.consent(&input?.0).map(Json).map_err(Refused)
}

async fn answer_always(
    State(oauth): State<OAuth>,
    input: Input<Answer>,
) -> Result<StatusCode, Refused> {
    oauth.answer_always(Some(input?.0));
    Ok(StatusCode::NO_CONTENT)
}

async fn ask_again(State(oauth): State<OAuth>) -> StatusCode {
    oauth.answer_always(None);
    StatusCode::NO_CONTENT
}

async fn add_client(
    State(oauth): State<OAuth>,
    input: Input<Client>,
) -> Result<StatusCode, Refused> {
    oauth.add_client(input?.0);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lives {
    access_seconds: Option<u64>,
    code_seconds: Option<u64>,
}

async fn set_lives(State(oauth): State<OAuth>, input: Input<Lives>) -> Result<StatusCode, Refused> {
    let Json(lives) = input?;
    if let Some(seconds) = lives.access_seconds {
        oauth.set_access_seconds(seconds);
    }
    if let Some(seconds) = lives.code_seconds {
        oauth.set_code_seconds(seconds);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    account: Option<String>,
    #[serde(default)]
    tokens: Kind,
}

async fn expire(State(oauth): State<OAuth>, input: Input<Expire>) -> Result<Json<Value>, Refused> {
    let Json(Expire { account, tokens }) = input?;
    let expired = oauth.expire(account.as_deref(), tokens);
    Ok(Json(json!({ "expired": expired })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeBack {
    account: Option<String>,
}

async fn take_back(
    State(oauth): State<OAuth>,
    input: Input<TakeBack>,
) -> Result<Json<Value>, Refused> {
    let ended = oauth.take_back(input?.0.account.as_deref());
    Ok(Json(json!({ "ended": ended })))
}

async fn calls(State(oauth): State<OAuth>) -> Json<Value> {
    Json(json!(oauth.token_calls()))
}

async fn clear_calls(State(oauth): State<OAuth>) -> StatusCode {
    oauth.calls.clear();
    StatusCode::NO_CONTENT
}
