//! The layer in front of a provider's routes that makes the faults happen.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;

use super::refusal::{Refusal, Render};
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
            Effect::RateLimited { .. }
            | Effect::ServerError { .. }
            | Effect::DropConnection { .. }
            | Effect::SlowBody { .. }
            | Effect::ExpiredToken
            | Effect::RevokedToken
            | Effect::InsufficientScopes
            | Effect::MalformedJson
            | Effect::TruncatedBody
            | Effect::WrongContentType => {}
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
        Effect::Latency { .. }
        | Effect::DropConnection { .. }
        | Effect::SlowBody { .. }
        | Effect::MalformedJson
        | Effect::TruncatedBody
        | Effect::EndlessCursor { .. }
        | Effect::WrongContentType
        | Effect::DuplicateItems => None,
    }
}

async fn spoil(effect: &Effect, response: Response) -> Response {
    match effect {
        Effect::DropConnection { after_bytes } => {
            rebody(response, |body| cut_off(body, *after_bytes)).await
        }
        Effect::SlowBody {
            chunk_bytes,
            pause_ms,
        } => {
            let (chunk, pause) = (*chunk_bytes, Duration::from_millis(*pause_ms));
            rebody(response, move |body| trickle(body, chunk, pause)).await
        }
        Effect::MalformedJson => {
            rebody(response, |body| {
                let mut broken = b"{\"objects\": [,] ".to_vec();
                broken.extend_from_slice(&body);
                (broken.len(), Body::from(broken))
            })
            .await
        }
        Effect::TruncatedBody => {
            rebody(response, |body| {
                let half = body.slice(..body.len() / 2);
                (half.len(), Body::from(half))
            })
            .await
        }
        Effect::WrongContentType => {
            const HTML: &str = "<!doctype html><title>Please sign in</title><p>Please sign in.</p>";
            let mut response = rebody(response, |_| (HTML.len(), Body::from(HTML))).await;
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, html);
            *response.status_mut() = StatusCode::OK;
            response
        }
        Effect::Latency { .. }
        | Effect::RateLimited { .. }
        | Effect::ServerError { .. }
        | Effect::ExpiredToken
        | Effect::RevokedToken
        | Effect::InsufficientScopes
        | Effect::EndlessCursor { .. }
        | Effect::DuplicateItems => response,
    }
}

/// Replaces the body; the closure returns the length to announce and the new body.
async fn rebody(response: Response, with: impl FnOnce(Bytes) -> (usize, Body)) -> Response {
    let (mut parts, body) = response.into_parts();
    // A body that is already a broken stream stays as it is: the first fault wins.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    };
    let (length, body) = with(bytes);
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, body)
}

/// Announces the whole body, sends its beginning, then fails, which closes the connection.
fn cut_off(body: Bytes, after: usize) -> (usize, Body) {
    let sent = body.slice(..after.min(body.len().saturating_sub(1)));
    let stream = futures::stream::iter([
        Ok(sent),
        Err(std::io::Error::other("connection dropped by a fault")),
    ])
    // Hyper would otherwise drop the bytes it has not flushed together with the failure.
    .then(|part| async move {
        if part.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        part
    });
    (body.len(), Body::from_stream(stream))
}

fn trickle(body: Bytes, chunk: usize, pause: Duration) -> (usize, Body) {
    let length = body.len();
    let stream = futures::stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let part = rest.split_to(chunk.min(rest.len()));
        Some((Ok::<_, std::io::Error>(part), rest))
    });
    (length, Body::from_stream(stream))
}
