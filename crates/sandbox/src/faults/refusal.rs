//! Refusals that every provider words in its own way.

use axum::http::StatusCode;
use axum::response::Response;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    RateLimited,
    ServerError(StatusCode),
    TokenExpired,
    TokenRevoked,
    InsufficientScopes,
}

/// A provider's wording.
pub(crate) type Render = fn(Refusal) -> Response;
