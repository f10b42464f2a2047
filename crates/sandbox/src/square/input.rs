//! Reads requests without leniency: unknown fields and wrong types are 400.

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::errors::SquareError;
use crate::clock::parse_rfc3339;

/// # Errors
/// 415 unless it says it is JSON; 400 for anything the endpoint does not know.
pub(crate) fn body<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<T, SquareError> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(SquareError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "INVALID_REQUEST_ERROR",
            "UNSUPPORTED_MEDIA_TYPE",
            "The body must be sent as application/json.",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            let message = error.to_string();
            refuse(&message, "UNKNOWN_BODY_PARAMETER")
        } else {
            SquareError::invalid(
                "EXPECTED_JSON_BODY",
                format!("The body is not JSON: {error}"),
            )
        }
    })
}

/// # Errors
/// 400 for a parameter the endpoint does not know, a repeated one, a wrong value.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, SquareError> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| {
            use std::error::Error;
            // axum wraps serde's message in two sentences of its own.
            let message = error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string);
            refuse(&message, "UNKNOWN_QUERY_PARAMETER")
        })
}

/// Serde's words say which rule was broken; Square has a code for each.
fn refuse(message: &str, unknown: &'static str) -> SquareError {
    let code = if message.contains("unknown field") {
        unknown
    } else if message.contains("missing field") {
        "MISSING_REQUIRED_PARAMETER"
    } else if message.contains("unknown variant") {
        "INVALID_ENUM_VALUE"
    } else {
        "BAD_REQUEST"
    };
    let error = SquareError::invalid(code, message);
    match message.split('`').nth(1) {
        Some(field) if code != "BAD_REQUEST" => error.field(field),
        _ => error,
    }
}

/// A page size within `1..=max`, or the default.
pub(crate) fn limit(asked: Option<i64>, default: usize, max: usize) -> Result<usize, SquareError> {
    let Some(asked) = asked else {
        return Ok(default);
    };
    let (code, detail) = match usize::try_from(asked) {
        Ok(limit) if (1..=max).contains(&limit) => return Ok(limit),
        Ok(limit) if limit > max => ("VALUE_TOO_HIGH", format!("Must be at most {max}.")),
        Ok(_) | Err(_) => ("VALUE_TOO_LOW", "Must be at least 1.".to_owned()),
    };
    Err(SquareError::invalid(code, detail).field("limit"))
}

/// Milliseconds of a time, which must be RFC 3339.
pub(crate) fn time(text: Option<&str>, field: &str) -> Result<Option<i64>, SquareError> {
    let Some(text) = text else { return Ok(None) };
    parse_rfc3339(text).map(Some).ok_or_else(|| {
        SquareError::invalid("INVALID_TIME", format!("{text:?} is not an RFC 3339 time."))
            .field(field)
    })
}

/// A list that the API caps.
pub(crate) fn at_most<T>(list: &[T], max: usize, field: &str) -> Result<(), SquareError> {
    if list.len() <= max {
        return Ok(());
    }
    let detail = format!("Holds {} values; at most {max} are allowed.", list.len());
    Err(SquareError::invalid("ARRAY_LENGTH_TOO_LONG", detail).field(field))
}
