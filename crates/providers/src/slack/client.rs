//! Calls to Slack's Web API, and what its answers mean: errors come with status 200 and
//! `"ok": false`.

use patchbay_core::{
    failure::FailureKind,
    outbound::{Method, OutboundRequest, OutboundResponse, header::HeaderName},
};
use serde::Deserialize;

use crate::{error::ProviderError, reading::only_429, session::Session};

/// What the token of a call may do, with commas between.
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");

/// Whose token it is.
#[derive(Debug)]
pub(super) struct Who {
    pub team_id: String,
    pub team: String,
    pub scopes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
    /// The scope that is missing.
    needed: Option<String>,
    team_id: Option<String>,
    team: Option<String>,
}

const PATH: &str = "/api/auth.test";

/// Whose token it is (<https://docs.slack.dev/reference/methods/auth.test>).
pub(super) async fn auth_test(session: &Session) -> Result<Who, ProviderError> {
    let request = OutboundRequest::new(Method::POST, session.url(PATH))
        .credential(session.bearer("access_token")?);
    let response = session.read(request, only_429).await?;
    let answer = understand(&response, session)?;
    let (Some(team_id), Some(team)) = (answer.team_id, answer.team) else {
        return Err(ProviderError::protocol(format!(
            "Slack's answer to {PATH} names no workspace."
        )));
    };
    let scopes = response.headers.get(SCOPES).and_then(|it| it.to_str().ok());
    let scopes = scopes.map(|text| {
        let scopes = text.split(',').map(str::trim);
        scopes
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    });
    Ok(Who {
        team_id,
        team,
        scopes,
    })
}

fn understand(response: &OutboundResponse, session: &Session) -> Result<Answer, ProviderError> {
    let status = response.status.as_u16();
    let answer = serde_json::from_slice::<Answer>(&response.body).ok();
    let error = match answer {
        Some(answer) if answer.ok && response.status.is_success() => return Ok(answer),
        Some(Answer {
            error: Some(code),
            needed,
            ..
        }) => {
            let needed = needed
                .map(|scope| format!(" (needs {scope})"))
                .unwrap_or_default();
            let words = format!("Slack answered {PATH} with {code}{needed}.");
            let (kind, action) = by_code(&code);
            ProviderError::new(kind, words, action).code(code)
        }
        Some(_) | None => {
            let words = format!("Slack answered {PATH} with {status} and nothing it documents.");
            let (kind, action) = by_status(status);
            ProviderError::new(kind, words, action)
        }
    };
    Err(ProviderError {
        retry_after: response.retry_after(session.now()),
        ..error
    })
}

const AGAIN: &str = "Connect the workspace again.";
const BY_ITSELF: &str = "Nothing: it goes on by itself when Slack allows more calls.";
const IF_IT_LASTS: &str = "See slack-status.com if it lasts.";

fn by_code(code: &str) -> (FailureKind, &'static str) {
    match code {
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            (FailureKind::Auth, AGAIN)
        }
        "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "access_denied"
        | "ekm_access_denied"
        | "enterprise_is_restricted" => (FailureKind::Scope, AGAIN),
        "ratelimited" | "rate_limited" => (FailureKind::RateLimited, BY_ITSELF),
        "internal_error" | "fatal_error" | "service_unavailable" | "team_added_to_org" => {
            (FailureKind::ProviderDown, IF_IT_LASTS)
        }
        "request_timeout" => (FailureKind::Timeout, IF_IT_LASTS),
        _ => (
            FailureKind::Invalid,
            "Slack refuses this request as wrong: report it with the job's id.",
        ),
    }
}

fn by_status(status: u16) -> (FailureKind, &'static str) {
    match status {
        401 => (FailureKind::Auth, AGAIN),
        403 => (FailureKind::Scope, AGAIN),
        429 => (FailureKind::RateLimited, BY_ITSELF),
        408 | 504 => (FailureKind::Timeout, IF_IT_LASTS),
        500..=599 => (FailureKind::ProviderDown, IF_IT_LASTS),
        _ => (
            FailureKind::Protocol,
            "Check the base URL that is set for Slack.",
        ),
    }
}
