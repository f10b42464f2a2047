//! Reads query parameters without leniency: unknown and repeated ones are 400.

use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;

use super::errors::GoogleError;

/// # Errors
/// 400 for a parameter the endpoint does not know, a repeated one, a wrong value.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, GoogleError> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| {
            use std::error::Error;
            // axum wraps serde's message in two sentences of its own.
            let message = error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string);
            let name = message.split('`').nth(1).unwrap_or("query").to_owned();
            let reason = match message.contains("missing field") {
                true => "required",
                false => "invalidParameter",
            };
            GoogleError::parameter(&name, reason, message)
        })
}

/// A page size within 1 to 1000.
pub(super) fn page_size(asked: Option<i64>) -> Result<usize, GoogleError> {
    let asked = asked.unwrap_or(100);
    match usize::try_from(asked) {
        Ok(size) if (1..=1000).contains(&size) => Ok(size),
        Ok(_) | Err(_) => Err(GoogleError::parameter(
            "pageSize",
            "invalidParameter",
            format!("Invalid value '{asked}'. Values must be within the range: [1, 1000]"),
        )),
    }
}
