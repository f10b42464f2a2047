//! Square's error envelope and the codes this stand-in answers with.
//!
//! Source: `ErrorCategory` and `ErrorCode` of Square's public API specification.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::faults::Refusal;

/// One entry of `{"errors":[...]}`.
#[derive(Debug, Serialize)]
pub struct SquareError {
    #[serde(skip)]
    status: StatusCode,
    category: &'static str,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

#[derive(Serialize)]
struct Envelope {
    errors: [SquareError; 1],
}

impl SquareError {
    /// 400 with a code of the category INVALID_REQUEST_ERROR.
    pub(crate) fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "INVALID_REQUEST_ERROR",
            code,
            detail,
        )
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "INVALID_REQUEST_ERROR",
            "NOT_FOUND",
            detail,
        )
    }

    pub(crate) fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "AUTHENTICATION_ERROR",
            code,
            detail,
        )
    }

    pub(crate) fn insufficient_scopes(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "AUTHENTICATION_ERROR",
            "INSUFFICIENT_SCOPES",
            detail,
        )
    }

    pub(crate) fn new(
        status: StatusCode,
        category: &'static str,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            category,
            code,
            detail: detail.into(),
            field: None,
        }
    }

    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl IntoResponse for SquareError {
    fn into_response(self) -> Response {
        (self.status, Json(Envelope { errors: [self] })).into_response()
    }
}

/// How Square words a refusal that a fault asked for.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::RateLimited | Refusal::Quota(_) => SquareError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMIT_ERROR",
            "RATE_LIMITED",
            "This request was rate limited. Please retry later.",
        ),
        Refusal::ServerError(status) => {
            let code = match status {
                StatusCode::BAD_GATEWAY => "BAD_GATEWAY",
                StatusCode::SERVICE_UNAVAILABLE => "SERVICE_UNAVAILABLE",
                StatusCode::GATEWAY_TIMEOUT => "GATEWAY_TIMEOUT",
                _ => "INTERNAL_SERVER_ERROR",
            };
            SquareError::new(status, "API_ERROR", code, "An internal error has occurred.")
        }
        Refusal::TokenExpired => expired(),
        Refusal::TokenRevoked => revoked(),
        Refusal::InsufficientScopes => SquareError::insufficient_scopes(
            "The merchant has not given your application sufficient permissions to do that.",
        ),
    }
    .into_response()
}

pub(crate) fn expired() -> SquareError {
    SquareError::unauthorized("ACCESS_TOKEN_EXPIRED", "The access token has expired.")
}

pub(crate) fn revoked() -> SquareError {
    SquareError::unauthorized("ACCESS_TOKEN_REVOKED", "The access token has been revoked.")
}
