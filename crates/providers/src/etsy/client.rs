//! Calls to Etsy's Open API v3, and what its answers mean. Each call carries the token
//! and, since January 2026, the client's id and secret.

use patchbay_core::{
    failure::FailureKind,
    outbound::{
        Credential, Method, OutboundRequest, OutboundResponse,
        header::{HeaderName, HeaderValue},
    },
    secret::Secret,
};
use serde::{Deserialize, de::DeserializeOwned};
use url::form_urlencoded;

use crate::{error::ProviderError, reading::only_429, session::Session};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The person behind a token.
#[derive(Debug, Deserialize)]
pub(super) struct Me {
    pub user_id: i64,
    pub shop_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Scopes {
    scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct EtsyError {
    error: String,
    error_description: Option<String>,
}

/// Whose token it is.
pub(super) async fn me(session: &Session) -> Result<Me, ProviderError> {
    let path = "/v3/application/users/me";
    let request = OutboundRequest::get(session.url(path))
        .credential(session.bearer("access_token")?)
        .credential(api_key(session)?);
    ask(session, path, request).await
}

/// What the token may do: Etsy's answer to a code does not say it (`tokenScopes` of its API
/// description).
pub(super) async fn scopes(session: &Session) -> Result<Vec<String>, ProviderError> {
    let path = "/v3/application/scopes";
    let Some(token) = session.secret.get("access_token") else {
        return Err(ProviderError::new(
            FailureKind::Auth,
            "The connection has no access_token.",
            AGAIN,
        ));
    };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token.expose())
        .finish();
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    let origins = session.credential_origins.clone();
    let request = OutboundRequest::new(Method::POST, session.url(path))
        .secret_body(kind, form.into_bytes(), origins)
        .credential(api_key(session)?);
    let Scopes { scopes } = ask(session, path, request).await?;
    Ok(scopes)
}

async fn ask<T: DeserializeOwned>(
    session: &Session,
    path: &str,
    request: OutboundRequest,
) -> Result<T, ProviderError> {
    let answer = session.read(request, only_429).await?;
    if !answer.status.is_success() {
        return Err(refusal(&answer, path, session));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ProviderError::protocol(format!(
            "Etsy's answer to {path} has not the shape its API describes (line {line}, column {column})."
        ))
    })
}

fn api_key(session: &Session) -> Result<Credential, ProviderError> {
    let client = session.client.as_ref();
    let pair = client.and_then(|client| Some((&client.id, client.secret.as_ref()?)));
    let Some((id, secret)) = pair else {
        return Err(ProviderError::new(
            FailureKind::Internal,
            "Etsy wants the app's id and secret with every call, and this deployment has none.",
            OPERATOR,
        ));
    };
    let pair = Secret::new(format!("{id}:{}", secret.expose()));
    let origins = session.credential_origins.clone();
    Ok(Credential::header(API_KEY, pair, origins))
}

const AGAIN: &str = "Connect the seller's account again.";
const OPERATOR: &str = "An operator must set id and secret of the Etsy app (oauth.etsy.client_id, oauth.etsy.client_secret).";

fn refusal(answer: &OutboundResponse, path: &str, session: &Session) -> ProviderError {
    let status = answer.status.as_u16();
    let said: Option<EtsyError> = serde_json::from_slice(&answer.body).ok();
    let words = match &said {
        Some(EtsyError {
            error,
            error_description,
        }) => {
            let more = error_description
                .as_ref()
                .map(|text| format!(": {text}"))
                .unwrap_or_default();
            format!("Etsy answered {path} with {status}, {error}{more}.")
        }
        None => format!("Etsy answered {path} with {status} and no error of its own."),
    };
    let said = said.map(|said| said.error);
    let (kind, action) = classify(status, said.as_deref().unwrap_or_default());
    let mut error = ProviderError::new(kind, words, action);
    error.code = said.filter(|code| !code.contains(' '));
    error.retry_after = answer.retry_after(session.now());
    error
}

fn classify(status: u16, said: &str) -> (FailureKind, &'static str) {
    const IF_IT_LASTS: &str = "See status.etsy.com if it lasts.";
    match status {
        401 => (FailureKind::Auth, AGAIN),
        // Refused before the token is looked at: the app's own key.
        403 if said.contains("x-api-key") || said.contains("API key") => {
            (FailureKind::Internal, OPERATOR)
        }
        403 => (
            FailureKind::Scope,
            "Connect the seller's account again and grant what is asked for.",
        ),
        404 => (FailureKind::NotFound, "It may have been deleted at Etsy."),
        429 => (
            FailureKind::RateLimited,
            "Nothing: it goes on by itself when Etsy allows more calls.",
        ),
        408 | 504 => (FailureKind::Timeout, IF_IT_LASTS),
        500..=599 => (FailureKind::ProviderDown, IF_IT_LASTS),
        300..=399 => (
            FailureKind::Protocol,
            "Check the base URL that is set for Etsy.",
        ),
        _ => (
            FailureKind::Invalid,
            "Etsy refuses this request as wrong: report it with the job's id.",
        ),
    }
}
