//! Users, shops, the key's ping, a token's scopes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Etsy, Shop};
use crate::oauth::params::Params;
use crate::oauth::{Bearer, Dead};

/// `{"error": ..., "error_description"?: ...}`
#[derive(Debug)]
pub(super) struct EtsyError(StatusCode, Value);

impl EtsyError {
    fn new(status: StatusCode, error: &str) -> Self {
        Self(status, json!({ "error": error }))
    }

    fn described(status: StatusCode, error: &str, description: &str) -> Self {
        let body = json!({ "error": error, "error_description": description });
        Self(status, body)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }
}

impl IntoResponse for EtsyError {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

/// An answer carries what is left of the limits.
pub(super) struct Answer(Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let limits = [
            ("x-limit-per-second", "10"),
            ("x-remaining-this-second", "9"),
            ("x-limit-per-day", "10000"),
            ("x-remaining-today", "9999"),
        ];
        (limits, Json(self.0)).into_response()
    }
}

pub(super) async fn ping(
    State(etsy): State<Etsy>,
    headers: HeaderMap,
) -> Result<Answer, EtsyError> {
    key(&etsy, &headers)?;
    Ok(Answer(json!({ "application_id": 1_234_567_890 })))
}

pub(super) async fn me(State(etsy): State<Etsy>, headers: HeaderMap) -> Result<Answer, EtsyError> {
    let bearer = bearer(&etsy, &headers, "shops_r")?;
    let shop = etsy.shop_of(&bearer.account.id);
    let shop = shop.ok_or_else(|| EtsyError::not_found("User not found"))?;
    Ok(Answer(
        json!({ "user_id": shop.user_id, "shop_id": shop.shop_id }),
    ))
}

pub(super) async fn shop(
    State(etsy): State<Etsy>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Result<Answer, EtsyError> {
    key(&etsy, &headers)?;
    let shop = etsy.shops.iter().find(|shop| shop.shop_id == id);
    let shop = shop.ok_or_else(|| EtsyError::not_found("Shop not found"))?;
    Ok(Answer(describe(shop)))
}

/// A user has one shop at most; Etsy answers with it alone.
pub(super) async fn shop_of_user(
    State(etsy): State<Etsy>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, EtsyError> {
    key(&etsy, &headers)?;
    let shop = etsy.shop_of(&id);
    let shop = shop.ok_or_else(|| EtsyError::not_found("Shop not found"))?;
    Ok(Answer(describe(shop)))
}

pub(super) async fn scopes(
    State(etsy): State<Etsy>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, EtsyError> {
    key(&etsy, &headers)?;
    let form = Params::of_form(&body);
    let missing = || EtsyError::new(StatusCode::BAD_REQUEST, "token is required");
    let token = form.get("token").ok_or_else(missing)?;
    let bearer = etsy.oauth.bearer(token).map_err(dead)?;
    Ok(Answer(json!({ "scopes": bearer.scopes })))
}

fn describe(shop: &Shop) -> Value {
    json!({
        "shop_id": shop.shop_id,
        "user_id": shop.user_id,
        "shop_name": shop.name,
        "title": "Sauces, spices and linen",
        "currency_code": "USD",
        "is_vacation": false,
        "listing_active_count": 24,
        "digital_listing_count": 0,
        "login_name": shop.login,
        "url": format!("https://www.etsy.com/shop/{}", shop.name),
        "create_date": 1_600_000_000,
        "created_timestamp": 1_600_000_000,
        "shop_location_country_iso": "US",
        "transaction_sold_count": 1503,
    })
}

/// The application that calls: `keystring:shared_secret`.
fn key(etsy: &Etsy, headers: &HeaderMap) -> Result<String, EtsyError> {
    let forbidden = |error: &str| EtsyError::new(StatusCode::FORBIDDEN, error);
    let header = headers
        .get("x-api-key")
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| forbidden("Missing x-api-key header or client_id"))?;
    let (keystring, secret) = header
        .split_once(':')
        .ok_or_else(|| forbidden("Shared secret is required in x-api-key header"))?;
    let ledger = etsy.oauth.ledger();
    match ledger.clients.get(keystring) {
        Some(client) if client.client_secret == secret => Ok(keystring.to_owned()),
        Some(_) | None => Err(forbidden(
            "API key not found or not active, or incorrect shared secret for API key.",
        )),
    }
}

/// The user that calls, through the application of the key.
fn bearer(etsy: &Etsy, headers: &HeaderMap, scope: &str) -> Result<Bearer, EtsyError> {
    let keystring = key(etsy, headers)?;
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let bearer = etsy.oauth.bearer(token.unwrap_or_default()).map_err(dead)?;
    if bearer.client_id != keystring {
        return Err(dead(Dead::Unknown));
    }
    if !bearer.holds(scope) {
        return Err(EtsyError::described(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            &format!("This endpoint needs the scope {scope}"),
        ));
    }
    Ok(bearer)
}

fn dead(dead: Dead) -> EtsyError {
    let description = match dead {
        Dead::Unknown => "The access token is not known",
        Dead::Expired => "access token is expired",
        Dead::Revoked => "The access token was revoked",
    };
    EtsyError::described(StatusCode::UNAUTHORIZED, "invalid_token", description)
}
