//! Refusals that every provider words in its own way.

use axum::http::StatusCode;
use axum::response::Response;

#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    RateLimited,
    /// For a reason in the provider's own words.
    Quota(String),
    ServerError(StatusCode),
    TokenExpired,
    TokenRevoked,
    InsufficientScopes,
}

/// A provider's wording.
pub(crate) type Render = fn(Refusal) -> Response;
