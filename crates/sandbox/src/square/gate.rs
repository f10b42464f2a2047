//! What every request passes first: the token, then the version header.

use std::sync::{Arc, RwLock};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate};

use super::data::Dataset;
use super::errors::{SquareError, expired, revoked};
use super::{Square, Token, TokenStatus};
use crate::faults::Quirks;
use crate::oauth::Dead;
use crate::requests::AccountId;

/// The application that tokens belong to which no consent made.
const SET_BY: &str = "sandbox-sq0idb-patchbay";

/// Who asks: an extension that the handlers read.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub merchant_id: Arc<str>,
    pub dataset: Arc<RwLock<Dataset>>,
    pub client_id: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<chrono::DateTime<chrono::Utc>>,
    pub quirks: Quirks,
    /// Milliseconds since 1970 UTC, by the sandbox's clock.
    pub now: i64,
}

impl Caller {
    /// # Errors
    /// 403 INSUFFICIENT_SCOPES.
    pub fn need(&self, scope: &str) -> Result<(), SquareError> {
        if self.scopes.iter().any(|held| held == scope) {
            return Ok(());
        }
        Err(SquareError::insufficient_scopes(format!(
            "The merchant has not given your application sufficient permissions to do that. \
             The merchant must authorize your application for the following scopes: {scope}"
        )))
    }
}

pub(crate) async fn check(
    State(square): State<Square>,
    mut request: Request,
    next: Next,
) -> Response {
    let quirks = request
        .extensions()
        .get::<Quirks>()
        .copied()
        .unwrap_or_default();
    let caller = match authenticate(&square, request.headers(), quirks) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let merchant = AccountId(Arc::clone(&caller.merchant_id));
    let versioned = request.uri().path().contains("/v2/");
    let refused = versioned
        .then(|| version(request.headers()).err())
        .flatten();
    let mut response = match refused {
        Some(error) => error.into_response(),
        None => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
    };
    response.extensions_mut().insert(merchant);
    response
}

fn authenticate(
    square: &Square,
    headers: &HeaderMap,
    quirks: Quirks,
) -> Result<Caller, SquareError> {
    let unauthorized =
        || SquareError::unauthorized("UNAUTHORIZED", "This request could not be authorized.");
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(unauthorized)?;
    let now = square.clock.now_ms();
    let set = square.tokens().get(bearer).cloned();
    let (merchant_id, client_id, scopes, expires_at) = match set {
        Some(token) => {
            let Token {
                merchant_id,
                status,
                scopes,
                expires_at,
                ..
            } = token;
            match status {
                TokenStatus::Revoked => return Err(revoked()),
                TokenStatus::Expired => return Err(expired()),
                TokenStatus::Active
                    if expires_at.is_some_and(|at| at.timestamp_millis() <= now) =>
                {
                    return Err(expired());
                }
                TokenStatus::Active => {}
            }
            (merchant_id, SET_BY.to_owned(), scopes, expires_at)
        }
        None => match square.oauth.bearer(bearer) {
            Ok(granted) => (
                granted.account.id,
                granted.client_id,
                granted.scopes,
                granted.until_ms.and_then(DateTime::from_timestamp_millis),
            ),
            Err(Dead::Unknown) => return Err(unauthorized()),
            Err(Dead::Expired) => return Err(expired()),
            Err(Dead::Revoked) => return Err(revoked()),
        },
    };
    let dataset = square.dataset(&merchant_id).map_err(|_| unauthorized())?;
    Ok(Caller {
        merchant_id: merchant_id.into(),
        dataset,
        client_id,
        scopes,
        expires_at,
        quirks,
        now,
    })
}

fn version(headers: &HeaderMap) -> Result<(), SquareError> {
    let refuse = |detail: &str| {
        SquareError::invalid("INVALID_SQUARE_VERSION_FORMAT", detail).field("Square-Version")
    };
    let value = headers
        .get("square-version")
        .ok_or_else(|| refuse("The Square-Version header is missing; send YYYY-MM-DD."))?;
    let text = value.to_str().unwrap_or_default();
    // chrono also reads 2026-1-5, Square does not.
    if text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
        Ok(())
    } else {
        Err(refuse(
            "The Square-Version header must have the format YYYY-MM-DD.",
        ))
    }
}
