//! What Square's answers mean: pages of rows, and its error envelope.

use chrono::{DateTime, Utc};
use patchbay_core::{
    failure::FailureKind,
    outbound::{OutboundResponse, StatusCode},
};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ProviderError;

/// A page of any listing.
#[derive(Debug, Deserialize)]
pub(in crate::square) struct Answer {
    /// Square names the rows after what they are, and leaves an empty list out.
    #[serde(
        default,
        alias = "objects",
        alias = "orders",
        alias = "customers",
        alias = "counts",
        alias = "locations"
    )]
    pub rows: Vec<Value>,
    /// Where the listing goes on.
    pub cursor: Option<String>,
    /// Of the catalog: the time of its last change.
    pub latest_time: Option<String>,
    /// Of customers: how many there are in all.
    pub count: Option<u64>,
    /// Some calls put errors into an answer that is otherwise a success.
    #[serde(default)]
    errors: Vec<SquareError>,
}

#[derive(Debug, Deserialize)]
struct Envelope {
    errors: Vec<SquareError>,
}

#[derive(Debug, Deserialize)]
struct SquareError {
    code: String,
    detail: Option<String>,
    field: Option<String>,
}

/// Reads a complete answer to a call of `path`.
pub(super) fn understand(
    answer: &OutboundResponse,
    path: &str,
    now: DateTime<Utc>,
) -> Result<Answer, ProviderError> {
    if !answer.status.is_success() {
        return Err(refusal(answer, path, now));
    }
    let page: Answer = serde_json::from_slice(&answer.body).map_err(|error| {
        // serde may quote the value it stumbled over: only the place is told.
        let what = if error.is_data() {
            "has not the shape its API describes"
        } else {
            "is no complete JSON"
        };
        let (line, column) = (error.line(), error.column());
        ProviderError::protocol(format!(
            "Square's answer to {path} {what} (line {line}, column {column})."
        ))
    })?;
    match page.errors.first() {
        None => Ok(page),
        // Rows are missing: taken for all there is, they would count as deleted.
        Some(error) => {
            let words = format!("Square answered {path} in part only: {}", error.words());
            Err(ProviderError::protocol(words).code(&error.code))
        }
    }
}

/// Square no longer takes a cursor that it gave.
const FORGOTTEN: &str = "INVALID_CURSOR";

fn refusal(answer: &OutboundResponse, path: &str, now: DateTime<Utc>) -> ProviderError {
    let status = answer.status.as_u16();
    let envelope = serde_json::from_slice::<Envelope>(&answer.body).ok();
    let first = envelope.and_then(|it| it.errors.into_iter().next());
    let words = match &first {
        Some(error) => format!("Square answered {path} with {status}, {}", error.words()),
        None => format!("Square answered {path} with {status} and no error of its own."),
    };
    let code = first.map(|error| error.code);
    let (kind, action) = classify(answer.status, code.as_deref());
    let mut error = ProviderError::new(kind, words, action);
    error.place_forgotten = code.as_deref() == Some(FORGOTTEN);
    error.code = code;
    error.retry_after = answer.retry_after(now);
    error
}

impl SquareError {
    fn words(&self) -> String {
        let Self {
            code,
            detail,
            field,
        } = self;
        let field = field
            .as_ref()
            .map(|field| format!(" (field {field})"))
            .unwrap_or_default();
        format!(
            "{code}: {}{field}",
            detail.as_deref().unwrap_or("no detail")
        )
    }
}

fn classify(status: StatusCode, code: Option<&str>) -> (FailureKind, &'static str) {
    match (status.as_u16(), code) {
        (403, _) | (_, Some("INSUFFICIENT_SCOPES")) => (
            FailureKind::Scope,
            "Make a token that has this permission in Square's Developer Console and set it on the connection.",
        ),
        (401, _) => (
            FailureKind::Auth,
            "The token is wrong, expired or revoked, or made for the other environment: set a new one on the connection.",
        ),
        (429, _) => (
            FailureKind::RateLimited,
            "Nothing: it goes on by itself when Square allows more calls.",
        ),
        (404, _) => (
            FailureKind::NotFound,
            "It may have been deleted at Square; run a full sync.",
        ),
        (408 | 504, _) => (FailureKind::Timeout, "See issquareup.com if it lasts."),
        (500..=599, _) => (FailureKind::ProviderDown, "See issquareup.com if it lasts."),
        // Redirects are not followed; an API that sends one is not Square's.
        (300..=399, _) => (
            FailureKind::Protocol,
            "Check the base URL that is set for Square.",
        ),
        (_, Some(FORGOTTEN)) => (
            FailureKind::Invalid,
            "Square has forgotten the place where this run stood: ask for the sync anew.",
        ),
        _ => (
            FailureKind::Invalid,
            "Square refuses this request as wrong: check the connection's config, else report it with the job's id.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use patchbay_core::outbound::header::{HeaderMap, RETRY_AFTER};

    use super::*;

    fn answered(status: u16, body: &str) -> Result<Answer, ProviderError> {
        let headers: HeaderMap = [(RETRY_AFTER, "7".parse().expect("a header"))]
            .into_iter()
            .collect();
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = OutboundResponse {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        };
        understand(&answer, "/v2/x", DateTime::UNIX_EPOCH)
    }

    #[test]
    fn rows_come_under_any_of_square_s_names_or_not_at_all() {
        for body in [
            r#"{"objects":[1,2],"cursor":"c"}"#,
            r#"{"counts":[1,2],"cursor":"c"}"#,
        ] {
            let page = answered(200, body).expect("a page");
            assert_eq!((page.rows.len(), page.cursor.as_deref()), (2, Some("c")));
        }
        assert!(answered(200, "{}").expect("an empty page").rows.is_empty());
    }

    #[test]
    fn errors_inside_a_success_are_errors() {
        let body =
            r#"{"counts":[1],"errors":[{"category":"API_ERROR","code":"INTERNAL_SERVER_ERROR"}]}"#;
        let error = answered(200, body).expect_err("a part is no page");
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (FailureKind::Protocol, Some("INTERNAL_SERVER_ERROR"))
        );
    }

    #[test]
    fn the_envelope_becomes_words_and_a_kind() {
        let body = r#"{"errors":[{"category":"C","code":"X_Y","detail":"Bad.","field":"f"}]}"#;
        for (status, kind) in [
            (302, FailureKind::Protocol),
            (400, FailureKind::Invalid),
            (401, FailureKind::Auth),
            (403, FailureKind::Scope),
            (404, FailureKind::NotFound),
            (409, FailureKind::Invalid),
            (429, FailureKind::RateLimited),
            (500, FailureKind::ProviderDown),
            (504, FailureKind::Timeout),
        ] {
            let error = answered(status, body).expect_err("refused");
            assert_eq!(error.kind, kind, "{status}");
            assert_eq!(
                error.message,
                format!("Square answered /v2/x with {status}, X_Y: Bad. (field f)")
            );
            assert_eq!(error.code.as_deref(), Some("X_Y"));
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
            assert_eq!(answered(status, "<html>").expect_err("refused").kind, kind);
        }
    }

    #[test]
    fn what_is_no_answer_of_square_s_is_named_without_quoting_it() {
        for body in [
            "",
            "<html>s3cr3t",
            r#"{"objects":[{"#,
            r#"{"objects":"s3cr3t"}"#,
            "[]",
        ] {
            let error = answered(200, body).expect_err("refused");
            assert_eq!(error.kind, FailureKind::Protocol);
            assert!(!error.message.contains("s3cr3t"), "{error}");
        }
    }
}
