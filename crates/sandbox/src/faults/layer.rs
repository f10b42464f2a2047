//! The layer in front of a provider's routes that makes the faults happen.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::{Refusal, Render};
use super::spoil::spoil;
use super::{Effect, Faults, Quirks};

#[derive(Debug, Clone)]
pub(crate) struct LayerState {
    pub faults: Faults,
    pub render: Render,
}

/// Names of the effects that struck, left on the response for the request log.
#[derive(Debug, Clone)]
pub(crate) struct Struck(pub Vec<&'static str>);

pub(crate) async fn apply(
    State(state): State<LayerState>,
    mut request: Request,
    next: Next,
) -> Response {
    let effects = state
        .faults
        .strike(request.method().as_str(), request.uri().path());
    if effects.is_empty() {
        return next.run(request).await;
    }
    let mut quirks = Quirks::default();
    for effect in &effects {
        match effect {
            Effect::Latency { ms } => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Effect::EndlessCursor { fresh } => {
                quirks.endless_cursor = Some(if *fresh { state.faults.next_nonce() } else { 0 });
            }
            Effect::DuplicateItems => quirks.repeat_across_pages = true,
            Effect::IgnorePkce => quirks.ignore_pkce = true,
            Effect::FewerScopes => quirks.fewer_scopes = true,
            Effect::RateLimited { .. }
            | Effect::ServerError { .. }
            | Effect::DropConnection { .. }
            | Effect::SlowBody { .. }
            | Effect::ExpiredToken
            | Effect::RevokedToken
            | Effect::InsufficientScopes
            | Effect::MalformedJson
            | Effect::TruncatedBody
            | Effect::WrongContentType
            | Effect::LateAnswer { .. }
            | Effect::LostAnswer
            | Effect::Redirect { .. }
            | Effect::HugeBody { .. }
            | Effect::SetField { .. }
            | Effect::RemoveField { .. }
            | Effect::RepeatField { .. }
            | Effect::QuotaExceeded { .. } => {}
        }
    }
    let mut response = match effects
        .iter()
        .find_map(|effect| refused(effect, state.render))
    {
        Some(response) => response,
        None => {
            request.extensions_mut().insert(quirks);
            next.run(request).await
        }
    };
    for effect in &effects {
        response = spoil(effect, response).await;
    }
    response
        .extensions_mut()
        .insert(Struck(effects.iter().map(Effect::name).collect()));
    response
}

fn refused(effect: &Effect, render: Render) -> Option<Response> {
    match effect {
        Effect::RateLimited { retry_after } => {
            let mut response = render(Refusal::RateLimited);
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Some(response)
        }
        Effect::ServerError { status } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(render(Refusal::ServerError(status)))
        }
        Effect::ExpiredToken => Some(render(Refusal::TokenExpired)),
        Effect::RevokedToken => Some(render(Refusal::TokenRevoked)),
        Effect::InsufficientScopes => Some(render(Refusal::InsufficientScopes)),
        Effect::QuotaExceeded { reason } => Some(render(Refusal::Quota(reason.clone()))),
        Effect::Redirect { to } => {
            Some((StatusCode::FOUND, [(LOCATION, to.clone())]).into_response())
        }
        Effect::Latency { .. }
        | Effect::DropConnection { .. }
        | Effect::SlowBody { .. }
        | Effect::MalformedJson
        | Effect::TruncatedBody
        | Effect::EndlessCursor { .. }
        | Effect::WrongContentType
        | Effect::DuplicateItems
        | Effect::LateAnswer { .. }
        | Effect::LostAnswer
        | Effect::HugeBody { .. }
        | Effect::SetField { .. }
        | Effect::RemoveField { .. }
        | Effect::RepeatField { .. }
        | Effect::IgnorePkce
        | Effect::FewerScopes => None,
    }
}
