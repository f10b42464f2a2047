//! What Google's answers mean: JSON of a shape, and its error envelope
//! (<https://developers.google.com/workspace/drive/api/guides/handle-errors>).

use std::time::Duration;

use chrono::{DateTime, Utc};
use patchbay_core::{
    failure::FailureKind,
    outbound::{OutboundResponse, StatusCode},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::error::ProviderError;

/// Pause when the project's quota of the day is used up; it fills at midnight Pacific time.
const DAY_IS_OVER: Duration = Duration::from_secs(3600);

#[derive(Debug, Deserialize)]
struct Envelope {
    error: GoogleError,
}

#[derive(Debug, Deserialize)]
struct GoogleError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

impl GoogleError {
    fn of(answer: &OutboundResponse) -> Option<Self> {
        let envelope: Envelope = serde_json::from_slice(&answer.body).ok()?;
        Some(envelope.error)
    }

    fn reason(&self) -> Option<&str> {
        let reason = &self.errors.first()?.reason;
        (!reason.is_empty()).then_some(reason)
    }
}

/// Google says "too many calls" with 403 as often as with 429.
pub(super) fn is_hasty(answer: &OutboundResponse) -> bool {
    answer.status == StatusCode::FORBIDDEN
        && GoogleError::of(answer).is_some_and(|error| {
            matches!(
                error.reason(),
                Some("rateLimitExceeded" | "userRateLimitExceeded")
            )
        })
}

/// Reads a complete success.
pub(super) fn shaped<T: DeserializeOwned>(
    answer: &OutboundResponse,
    path: &str,
) -> Result<T, ProviderError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        // serde may quote the value it stumbled over: only the place is told.
        let what = if error.is_data() {
            "has not the shape its API describes"
        } else {
            "is no complete JSON"
        };
        let (line, column) = (error.line(), error.column());
        ProviderError::protocol(format!(
            "Google's answer to {path} {what} (line {line}, column {column})."
        ))
    })
}

/// Reads a refusal.
pub(super) fn refusal(answer: &OutboundResponse, path: &str, now: DateTime<Utc>) -> ProviderError {
    let status = answer.status.as_u16();
    let said = GoogleError::of(answer);
    let reason = said.as_ref().and_then(GoogleError::reason);
    let words = match &said {
        Some(error) => format!(
            "Google answered {path} with {status}, {}: {}",
            reason.unwrap_or("no reason"),
            error.message
        ),
        None => format!("Google answered {path} with {status} and no error of its own."),
    };
    let (kind, action) = classify(status, reason);
    let mut error = ProviderError::new(kind, words, action);
    error.code = reason.map(str::to_owned);
    error.retry_after = answer.retry_after(now);
    if reason == Some("dailyLimitExceeded") {
        error.retry_after = error.retry_after.or(Some(DAY_IS_OVER));
    }
    error
}

fn classify(status: u16, reason: Option<&str>) -> (FailureKind, &'static str) {
    const IF_IT_LASTS: &str = "See status.cloud.google.com if it lasts.";
    match (status, reason) {
        (401, _) => (
            FailureKind::Auth,
            "The consent has expired or was withdrawn: connect the account again.",
        ),
        (
            403,
            Some(
                "rateLimitExceeded"
                | "userRateLimitExceeded"
                | "dailyLimitExceeded"
                | "quotaExceeded"
                | "sharingRateLimitExceeded",
            ),
        )
        | (429, _) => (
            FailureKind::RateLimited,
            "Nothing: it goes on by itself when Google allows more calls.",
        ),
        (403, Some("exportSizeLimitExceeded")) => (
            FailureKind::Invalid,
            "Google exports 10 MB at most: split the document.",
        ),
        (403, Some("fileNotDownloadable" | "fileNotExportable" | "cannotDownloadFile")) => (
            FailureKind::Invalid,
            "Choose a Google Doc or a plain text file whose owner allows downloads.",
        ),
        (403, Some("accessNotConfigured")) => (
            FailureKind::Internal,
            "An operator must enable the Google Drive API in the Cloud project of the OAuth client.",
        ),
        (403, Some("insufficientFilePermissions" | "appNotAuthorizedToFile")) => (
            FailureKind::Scope,
            "Ask the owner of the file to share it with the connected account.",
        ),
        (403, _) => (
            FailureKind::Scope,
            "Connect the account again and leave every permission ticked; a company account may also need its administrator's consent.",
        ),
        (404, _) => (
            FailureKind::NotFound,
            "The file was deleted, or is no longer shared with the account.",
        ),
        (408 | 504, _) => (FailureKind::Timeout, IF_IT_LASTS),
        (500..=599, _) => (FailureKind::ProviderDown, IF_IT_LASTS),
        // Redirects are not followed; an API that sends one is not Google's.
        (300..=399, _) => (
            FailureKind::Protocol,
            "Check the base URL that is set for Google Drive.",
        ),
        _ => (
            FailureKind::Invalid,
            "Google refuses this request as wrong: run a full sync, else report it with the job's id.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use patchbay_core::outbound::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> OutboundResponse {
        OutboundResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn body(reason: &str) -> String {
        format!(
            r#"{{"error":{{"code":403,"message":"Said.","errors":[{{"domain":"d","reason":"{reason}"}}]}}}}"#
        )
    }

    #[test]
    fn the_reason_decides_what_a_403_means() {
        for (reason, kind, hasty) in [
            ("userRateLimitExceeded", FailureKind::RateLimited, true),
            ("rateLimitExceeded", FailureKind::RateLimited, true),
            ("dailyLimitExceeded", FailureKind::RateLimited, false),
            ("exportSizeLimitExceeded", FailureKind::Invalid, false),
            ("fileNotDownloadable", FailureKind::Invalid, false),
            ("accessNotConfigured", FailureKind::Internal, false),
            ("insufficientPermissions", FailureKind::Scope, false),
            ("somethingNew", FailureKind::Scope, false),
        ] {
            let answer = answer(403, &body(reason));
            assert_eq!(is_hasty(&answer), hasty, "{reason}");
            let error = refusal(&answer, "/x", DateTime::UNIX_EPOCH);
            assert_eq!(error.kind, kind, "{reason}");
            assert_eq!(error.code.as_deref(), Some(reason));
            assert_eq!(
                error.message,
                format!("Google answered /x with 403, {reason}: Said.")
            );
        }
        let daily = refusal(
            &answer(403, &body("dailyLimitExceeded")),
            "/x",
            DateTime::UNIX_EPOCH,
        );
        assert_eq!(daily.retry_after, Some(DAY_IS_OVER));
    }

    #[test]
    fn a_refusal_without_an_envelope_is_told_by_its_status() {
        for (status, kind) in [
            (302, FailureKind::Protocol),
            (400, FailureKind::Invalid),
            (401, FailureKind::Auth),
            (403, FailureKind::Scope),
            (404, FailureKind::NotFound),
            (429, FailureKind::RateLimited),
            (503, FailureKind::ProviderDown),
            (504, FailureKind::Timeout),
        ] {
            let error = refusal(&answer(status, "<html>"), "/x", DateTime::UNIX_EPOCH);
            assert_eq!((error.kind, error.code), (kind, None), "{status}");
        }
    }
}
