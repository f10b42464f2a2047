//! Who the token belongs to: locations, the merchant, the token's status.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::errors::SquareError;
use super::gate::Caller;
use super::{input, read};

/// An endpoint without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) async fn locations(
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, SquareError> {
    caller.need("MERCHANT_PROFILE_READ")?;
    let Nothing {} = input::query(&uri)?;
    let mut locations = read(&caller.dataset).locations.clone();
    locations.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(json!({ "locations": locations })).into_response())
}

/// `me`, or the id of the token's own merchant; any other merchant does not exist.
pub(super) async fn merchant(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, SquareError> {
    caller.need("MERCHANT_PROFILE_READ")?;
    let Nothing {} = input::query(&uri)?;
    if id != "me" && *id != *caller.merchant_id {
        return Err(SquareError::not_found(format!(
            "Merchant `{id}` not found."
        )));
    }
    let data = read(&caller.dataset);
    Ok(Json(json!({ "merchant": {
        "id": &*caller.merchant_id,
        "business_name": data.business_name,
        "country": data.country,
        "language_code": "en-US",
        "currency": data.currency,
        "status": "ACTIVE",
        "main_location_id": data.locations.first().map(|location| &location.id),
        "created_at": data.locations.first().map(|location| &location.created_at),
    }}))
    .into_response())
}

/// Costs no scope; the body, if there is one, must be empty.
pub(super) async fn token_status(
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Result<Response, SquareError> {
    if !bytes.is_empty() && serde_json::from_slice::<Nothing>(&bytes).is_err() {
        return Err(SquareError::invalid(
            "BAD_REQUEST",
            "This endpoint takes no parameters.",
        ));
    }
    let expires_at = caller
        .expires_at
        .map(|at| crate::clock::rfc3339(at.timestamp_millis()));
    let mut status = json!({
        "scopes": caller.scopes,
        "client_id": caller.client_id,
        "merchant_id": &*caller.merchant_id,
    });
    if let Some(expires_at) = expires_at {
        status["expires_at"] = expires_at.into();
    }
    Ok(Json(status).into_response())
}
