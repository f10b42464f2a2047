//! Counts token calls by grant type, so that a test can assert "exactly one refresh".
//!
//! A call counts as arrived before any fault delays or refuses it, and also when its
//! client has gone away meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;

use super::OAuth;
use super::params::Params;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    /// Any other, or a call that cannot be read.
    Other,
}

impl GrantType {
    pub(crate) fn of(params: Option<&Params>) -> Self {
        let Some(params) = params else {
            return Self::Other;
        };
        match params.get("grant_type") {
            Some("authorization_code") => Self::AuthorizationCode,
            Some("refresh_token") => Self::RefreshToken,
            None if params.get("code").is_some() => Self::AuthorizationCode,
            Some(_) | None => Self::Other,
        }
    }
}

/// Token calls of one grant type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TokenCalls {
    pub arrived: u64,
    /// Tokens were handed out, whether or not the answer reached the client.
    pub granted: u64,
    pub refused: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<GrantType, TokenCalls>>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GrantType, TokenCalls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn read(&self) -> BTreeMap<GrantType, TokenCalls> {
        self.lock().clone()
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    pub fn granted(&self, kind: GrantType) {
        self.lock().entry(kind).or_default().granted += 1;
    }

    pub fn refused(&self, kind: GrantType) {
        self.lock().entry(kind).or_default().refused += 1;
    }
}

/// No token call is larger; the request log has bounded the body already.
const LARGEST: usize = 4 << 20;

/// In front of the faults.
pub(crate) async fn count(State(oauth): State<OAuth>, request: Request, next: Next) -> Response {
    let is_token_call =
        request.method() == Method::POST && request.uri().path().ends_with(oauth.rules.token_path);
    if !is_token_call {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, LARGEST).await.unwrap_or_default();
    let params = match bytes.first() {
        Some(b'{') => Params::of_json(&bytes),
        Some(_) | None => Some(Params::of_form(&bytes)),
    };
    let kind = GrantType::of(params.as_ref());
    oauth.calls.lock().entry(kind).or_default().arrived += 1;
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}
