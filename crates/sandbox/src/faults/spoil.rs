//! Answers made wrong on their way out.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use serde_json::Value;

use super::Effect;

/// Does to an answer what the effect says.
pub(super) async fn spoil(effect: &Effect, response: Response) -> Response {
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
        Effect::LateAnswer { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            response
        }
        // The head is announced and never flushed: hyper drops it with the failing body.
        Effect::LostAnswer => {
            let lost = std::io::Error::other("answer lost by a fault");
            let nothing = futures::stream::iter([Err::<Bytes, _>(lost)]);
            rebody(response, |body| {
                (body.len() + 1, Body::from_stream(nothing))
            })
            .await
        }
        Effect::HugeBody { bytes } => {
            let padding = Value::String("x".repeat(*bytes));
            refield(response, |fields| fields.push(("padding".into(), padding))).await
        }
        Effect::SetField { name, value } => {
            refield(response, |fields| {
                fields.retain(|(key, _)| key != name);
                fields.push((name.clone(), value.clone()));
            })
            .await
        }
        Effect::RemoveField { name } => {
            refield(response, |fields| fields.retain(|(key, _)| key != name)).await
        }
        Effect::RepeatField { name, value } => {
            refield(response, |fields| {
                fields.push((name.clone(), value.clone()))
            })
            .await
        }
        Effect::Latency { .. }
        | Effect::RateLimited { .. }
        | Effect::ServerError { .. }
        | Effect::ExpiredToken
        | Effect::RevokedToken
        | Effect::InsufficientScopes
        | Effect::EndlessCursor { .. }
        | Effect::DuplicateItems
        | Effect::Redirect { .. }
        | Effect::QuotaExceeded { .. }
        | Effect::IgnorePkce
        | Effect::FewerScopes => response,
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

/// Rewrites the fields of an answer that is a JSON object; any other stays as it is.
async fn refield(response: Response, change: impl FnOnce(&mut Vec<(String, Value)>)) -> Response {
    rebody(response, |body| {
        let Ok(Value::Object(object)) = serde_json::from_slice(&body) else {
            return (body.len(), Body::from(body));
        };
        let mut fields: Vec<(String, Value)> = object.into_iter().collect();
        change(&mut fields);
        let texts: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| format!("{}:{value}", Value::String(name)))
            .collect();
        let text = format!("{{{}}}", texts.join(","));
        (text.len(), Body::from(text))
    })
    .await
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
