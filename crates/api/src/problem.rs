//! What goes wrong, as RFC 9457 problem details. Every error of the API is one
//! of these kinds. Causes go to the log, once, here; never into an answer.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use patchbay_core::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// Kinds of problem. The `type` of a problem is `/problems/{slug}`, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MalformedJson,
    Validation,
    InvalidQuery,
    InvalidId,
    InvalidCursor,
    InvalidIdempotencyKey,
    IdempotencyKeyReused,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    ConnectionExists,
    ConnectionState,
    ConsentUnavailable,
    ScopeMissing,
    JobState,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    Unavailable,
    Internal,
}

/// Status, slug, title and the page text of every kind.
pub const KINDS: [(Kind, StatusCode, &str, &str, &str); 21] = {
    use Kind::*;
    use StatusCode as S;
    [
        (
            MalformedJson,
            S::BAD_REQUEST,
            "malformed-json",
            "The body is not JSON",
            "The detail names the line and column where reading stopped.",
        ),
        (
            Validation,
            S::UNPROCESSABLE_ENTITY,
            "validation",
            "The body breaks its schema",
            "`errors` names every wrong field with a JSON pointer (RFC 6901). Nothing was changed.",
        ),
        (
            InvalidQuery,
            S::BAD_REQUEST,
            "invalid-query",
            "A query parameter is wrong",
            "`errors` names every wrong parameter. Unknown parameters are refused, so that a typing error cannot silently widen a list.",
        ),
        (
            InvalidId,
            S::BAD_REQUEST,
            "invalid-id",
            "The path holds no id",
            "Ids are UUIDs, as answers of this API give them.",
        ),
        (
            InvalidCursor,
            S::BAD_REQUEST,
            "invalid-cursor",
            "The cursor is not one of this list",
            "Use `next` of the page before, unchanged, or leave `cursor` away to begin again.",
        ),
        (
            InvalidIdempotencyKey,
            S::BAD_REQUEST,
            "invalid-idempotency-key",
            "The Idempotency-Key is not usable",
            "A key is 1 to 255 visible ASCII characters; a UUID is a good one.",
        ),
        (
            IdempotencyKeyReused,
            S::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "The Idempotency-Key was used for another request",
            "A key belongs to one request for 24 hours. Use a new key for a new request.",
        ),
        (
            Unauthorized,
            S::UNAUTHORIZED,
            "unauthorized",
            "No valid API key",
            "Send `Authorization: Bearer pb_...` with a key that is not revoked.",
        ),
        (
            Forbidden,
            S::FORBIDDEN,
            "forbidden",
            "The API key's role does not allow this",
            "Use a key with at least the role that the detail names.",
        ),
        (
            NotFound,
            S::NOT_FOUND,
            "not-found",
            "Not found",
            "It does not exist in the organization of this API key.",
        ),
        (
            MethodNotAllowed,
            S::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The route has no such method",
            "See `/docs` for the methods of each route.",
        ),
        (
            ConnectionExists,
            S::CONFLICT,
            "connection-exists",
            "The provider is already connected",
            "This provider allows one connection per organization. Change or disconnect the one that the detail names.",
        ),
        (
            ConnectionState,
            S::CONFLICT,
            "connection-state",
            "The connection's status does not allow this",
            "The detail says what to do first.",
        ),
        (
            ConsentUnavailable,
            S::CONFLICT,
            "consent-unavailable",
            "This deployment cannot ask for this consent",
            "The detail says which setting is missing, or how the provider is connected instead.",
        ),
        (
            ScopeMissing,
            S::CONFLICT,
            "scope-missing",
            "The account has not granted what this needs",
            "The detail names the missing scopes. Connect again and grant them.",
        ),
        (
            JobState,
            S::CONFLICT,
            "job-state",
            "The job's state does not allow this",
            "The detail says in which states it is possible.",
        ),
        (
            RequestTimeout,
            S::REQUEST_TIMEOUT,
            "request-timeout",
            "The body did not arrive",
            "A request body must be there within 30 s.",
        ),
        (
            BodyTooLarge,
            S::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is too large",
            "A request body may have 1 MiB.",
        ),
        (
            UnsupportedMediaType,
            S::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is not declared as JSON",
            "Send `Content-Type: application/json`.",
        ),
        (
            Unavailable,
            S::SERVICE_UNAVAILABLE,
            "unavailable",
            "The database is away",
            "Nothing was changed. Repeat the request after the seconds that `Retry-After` says.",
        ),
        (
            Internal,
            S::INTERNAL_SERVER_ERROR,
            "internal",
            "A fault on our side",
            "The log of the API process has the cause. Repeat with the same Idempotency-Key: work is not done twice.",
        ),
    ]
};

impl Kind {
    fn row(self) -> &'static (Self, StatusCode, &'static str, &'static str, &'static str) {
        KINDS
            .iter()
            .find(|row| row.0 == self)
            .expect("a test finds every kind in the table")
    }
}

/// One wrong field or parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong with it. Never repeats the value: it may be a secret.
    pub message: String,
}

impl FieldError {
    /// A wrong field of the body.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            message: message.into(),
        }
    }

    /// A wrong query parameter.
    pub fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.into()),
            message: message.into(),
        }
    }
}

/// Two checks of one body: both values, or the errors of both.
///
/// # Errors
/// Those of both checks.
pub fn both<A, B>(
    one: Result<A, Vec<FieldError>>,
    other: Result<B, Vec<FieldError>>,
) -> Result<(A, B), Vec<FieldError>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err([one.err(), other.err()]
            .into_iter()
            .flatten()
            .flatten()
            .collect()),
    }
}

/// A refusal or a fault, on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
}

/// Problem details (RFC 9457), `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Stable name of the kind of problem: `/problems/validation`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, what it means, what to do.
    pub detail: String,
    /// Every wrong field or parameter at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem of a kind. The detail says what happened, what it means and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Wrong fields of a body, all at once.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "One field is wrong; nothing was changed. Correct it and send the request again."
                .into(),
            n => format!(
                "{n} fields are wrong; nothing was changed. Correct them and send the request again."
            ),
        };
        Self {
            kind: Kind::Validation,
            detail,
            errors,
        }
    }

    /// Wrong query parameters, all at once.
    pub fn query(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors
            .iter()
            .filter_map(|error| error.parameter.as_deref())
            .collect();
        Self {
            kind: Kind::InvalidQuery,
            detail: format!("Wrong in the query: {}.", names.join(", ")),
            errors,
        }
    }

    /// Nothing of that id in this org; the same words whether it belongs to another org or to none.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            Kind::NotFound,
            format!("There is no {what} with this id in the organization of this API key."),
        )
    }

    /// A fault on our side; the cause goes to the log.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed by a fault of ours");
        Self::new(
            Kind::Internal,
            "The request failed by a fault on our side. The log has the cause.",
        )
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.row().1
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (_, status, slug, title, _) = *self.kind.row();
        let body = ProblemBody {
            kind: format!("/problems/{slug}"),
            title: title.into(),
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self.kind {
            Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            Kind::Unauthorized => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"patchbay\""),
                );
            }
            _ => {}
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if !error.is_transient() {
            return Self::internal(&error);
        }
        tracing::warn!(%error, "the database is away");
        Self::new(
            Kind::Unavailable,
            "The database does not answer; nothing was changed. Repeat the request after the seconds that Retry-After says.",
        )
    }
}

impl From<sea_orm::DbErr> for Problem {
    fn from(error: sea_orm::DbErr) -> Self {
        StoreError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_stands_once_in_the_table() {
        use Kind::*;
        for kind in [
            MalformedJson,
            Validation,
            InvalidQuery,
            InvalidId,
            InvalidCursor,
            InvalidIdempotencyKey,
            IdempotencyKeyReused,
            Unauthorized,
            Forbidden,
            NotFound,
            MethodNotAllowed,
            ConnectionExists,
            ConnectionState,
            ConsentUnavailable,
            ScopeMissing,
            JobState,
            RequestTimeout,
            BodyTooLarge,
            UnsupportedMediaType,
            Unavailable,
            Internal,
        ] {
            assert_eq!(kind.row().0, kind);
        }
        let slugs: HashSet<_> = KINDS.iter().map(|row| row.2).collect();
        assert_eq!(slugs.len(), KINDS.len());
    }
}
