//! The Shopify stand-in: one base address plays the admin of the shop that consents.
//!
//! The real one has a host per shop; here the person picks the shop on the consent page,
//! the callback names it, and its token opens it. Source: the Admin GraphQL schema 2026-10.

mod admin;
mod graphql;
pub mod oauth;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use serde_json::json;

use crate::clock::Clock;
use crate::faults::Refusal;
use crate::oauth::{Account, OAuth};

/// The shop that is taken unless another is named.
pub const DEFAULT_SHOP: &str = "harvest-bistro.myshopify.com";
pub const OTHER_SHOP: &str = "corner-bakery.myshopify.com";

/// Shops and their grants. Clones share them.
#[derive(Debug, Clone)]
pub struct Shopify {
    pub oauth: OAuth,
}

impl Shopify {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let shops = vec![
            Account::new(DEFAULT_SHOP, "Harvest Bistro"),
            Account::new(OTHER_SHOP, "Corner Bakery"),
        ];
        Self {
            oauth: oauth::oauth(shops, clock),
        }
    }
}

/// A shop's global id.
fn shop_id(domain: &str) -> &'static str {
    match domain {
        OTHER_SHOP => "gid://shopify/Shop/548380010",
        _ => "gid://shopify/Shop/548380009",
    }
}

pub(crate) fn router(shopify: &Shopify) -> Router {
    Router::new()
        .route("/admin/api/{version}/graphql.json", post(admin::graphql))
        .route(
            "/admin/api_permissions/current.json",
            delete(admin::drop_permissions),
        )
        .fallback(async || admin::not_found())
        .with_state(shopify.oauth.clone())
        .merge(shopify.oauth.router())
}

/// How Shopify words a refusal that a fault asked for.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    let simple = |status, error: &str| (status, Json(json!({ "errors": error }))).into_response();
    match refusal {
        Refusal::RateLimited => simple(StatusCode::TOO_MANY_REQUESTS, "Throttled"),
        // GraphQL's own limit comes with 200.
        Refusal::Quota(_) => Json(json!({
            "errors": [{
                "message": "Throttled",
                "extensions": {
                    "code": "THROTTLED",
                    "documentation": "https://shopify.dev/api/usage/rate-limits",
                },
            }],
            "extensions": { "cost": {
                "requestedQueryCost": 752,
                "actualQueryCost": null,
                "throttleStatus": {
                    "maximumAvailable": 1000.0, "currentlyAvailable": 666, "restoreRate": 50.0,
                },
            }},
        }))
        .into_response(),
        Refusal::ServerError(status) => simple(status, "Internal Server Error"),
        Refusal::TokenExpired | Refusal::TokenRevoked => admin::unauthorized(),
        Refusal::InsufficientScopes => simple(
            StatusCode::FORBIDDEN,
            "[API] This action requires merchant approval.",
        ),
    }
}
