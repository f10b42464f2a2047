//! Google's error envelope and the reasons this stand-in answers with.
//!
//! Source: "Resolve errors" of the Drive API guide, and the `reason`s it lists.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::faults::Refusal;

/// `{"error":{"code","message","errors":[{"domain","reason","message",...}],"status"?}}`
#[derive(Debug)]
pub(crate) struct GoogleError {
    status: StatusCode,
    message: Box<str>,
    domain: &'static str,
    reason: Box<str>,
    /// What is wrong: name, and where it stands.
    location: Option<(Box<str>, &'static str)>,
    /// As newer parts of Google's APIs name the status.
    rpc_status: Option<&'static str>,
}

impl GoogleError {
    pub fn new(status: StatusCode, reason: &str, message: impl Into<Box<str>>) -> Self {
        Self {
            status,
            message: message.into(),
            domain: "global",
            reason: reason.into(),
            location: None,
            rpc_status: None,
        }
    }

    /// 400 for a parameter.
    pub fn parameter(name: &str, reason: &str, message: impl Into<Box<str>>) -> Self {
        Self {
            location: Some((name.into(), "parameter")),
            ..Self::new(StatusCode::BAD_REQUEST, reason, message)
        }
    }

    /// 400 for a parameter whose value cannot be.
    pub fn invalid(name: &str) -> Self {
        Self::parameter(name, "invalid", "Invalid Value")
    }

    pub fn file_not_found(id: &str) -> Self {
        Self {
            location: Some(("fileId".into(), "parameter")),
            ..Self::new(
                StatusCode::NOT_FOUND,
                "notFound",
                format!("File not found: {id}."),
            )
        }
    }

    pub fn forbidden(reason: &str, message: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason, message)
    }

    /// No credential came.
    pub fn login_required() -> Self {
        Self {
            location: Some(("Authorization".into(), "header")),
            rpc_status: Some("UNAUTHENTICATED"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "required",
                "Request is missing required authentication credential. Expected OAuth 2 access \
                 token, login cookie or other valid authentication credential.",
            )
        }
    }

    /// The credential opens nothing; Google does not say whether it expired or was revoked.
    pub fn invalid_credentials() -> Self {
        Self {
            location: Some(("Authorization".into(), "header")),
            rpc_status: Some("UNAUTHENTICATED"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, \
                 login cookie or other valid authentication credential.",
            )
        }
    }

    pub fn insufficient_scopes() -> Self {
        Self {
            rpc_status: Some("PERMISSION_DENIED"),
            ..Self::forbidden(
                "insufficientPermissions",
                "Request had insufficient authentication scopes.",
            )
        }
    }

    fn usage_limit(status: StatusCode, reason: &str, message: &str) -> Self {
        Self {
            domain: "usageLimits",
            ..Self::new(status, reason, message)
        }
    }
}

impl IntoResponse for GoogleError {
    fn into_response(self) -> Response {
        let mut entry = json!({
            "message": self.message, "domain": self.domain, "reason": self.reason,
        });
        if let Some((location, kind)) = self.location {
            entry["location"] = (*location).into();
            entry["locationType"] = kind.into();
        }
        let mut error = json!({
            "code": self.status.as_u16(), "message": self.message, "errors": [entry],
        });
        if let Some(status) = self.rpc_status {
            error["status"] = status.into();
        }
        if &*self.reason == "insufficientPermissions" {
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com",
            }]);
        }
        let body: Value = json!({ "error": error });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                WWW_AUTHENTICATE,
                axum::http::HeaderValue::from_static(
                    "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"",
                ),
            );
        }
        response
    }
}

/// How Google words a refusal that a fault asked for.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::RateLimited => GoogleError::usage_limit(
            StatusCode::TOO_MANY_REQUESTS,
            "rateLimitExceeded",
            "Rate Limit Exceeded",
        ),
        Refusal::Quota(reason) => GoogleError::usage_limit(
            StatusCode::FORBIDDEN,
            &reason,
            "The limit of this project or user is reached.",
        ),
        Refusal::ServerError(status) => GoogleError::new(status, "backendError", "Internal Error"),
        Refusal::TokenExpired | Refusal::TokenRevoked => GoogleError::invalid_credentials(),
        Refusal::InsufficientScopes => GoogleError::insufficient_scopes(),
    }
    .into_response()
}
