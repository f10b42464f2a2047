//! Query parameters: every wrong one at once, unknown ones refused.

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::de::DeserializeOwned;

use crate::problem::{FieldError, Problem};

/// The query as `T`. Every field of `T` must be optional, and `T` must deny unknown fields.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = parts.uri.query().unwrap_or_default();
        let nul = with_nul(text);
        if !nul.is_empty() {
            return Err(Problem::query(nul));
        }
        match serde_urlencoded::from_str(text) {
            Ok(query) => Ok(Self(query)),
            Err(error) => Err(Problem::query(wrong::<T>(text, &error))),
        }
    }
}

/// PostgreSQL takes no NUL in a text, so none may get there.
fn with_nul(text: &str) -> Vec<FieldError> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text).unwrap_or_default();
    let nul = pairs
        .into_iter()
        .filter(|(name, value)| name.contains('\0') || value.contains('\0'));
    nul.map(|(name, _)| FieldError::parameter(name, "must not contain the NUL character"))
        .collect()
}

/// Reads each pair alone, because serde stops at the first error of the whole.
fn wrong<T: DeserializeOwned>(text: &str, whole: &serde_urlencoded::de::Error) -> Vec<FieldError> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text).unwrap_or_default();
    let errors: Vec<FieldError> = pairs
        .iter()
        .filter_map(|pair| {
            let alone = serde_urlencoded::to_string([pair]).ok()?;
            let error = serde_urlencoded::from_str::<T>(&alone).err()?;
            Some(FieldError::parameter(&pair.0, error.to_string()))
        })
        .collect();
    if errors.is_empty() {
        // Each pair is right alone: one of them is there twice.
        let message = whole.to_string();
        let name = message.split('`').nth(1).unwrap_or("?").to_owned();
        return vec![FieldError::parameter(name, message)];
    }
    errors
}
