//! The Etsy stand-in: consent and tokens; the user, the shop, the key.
//!
//! Source: Etsy's Open API v3 specification.

mod api;
pub mod oauth;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::clock::Clock;
use crate::faults::Refusal;
use crate::oauth::{Account, OAuth};
use api::EtsyError;

/// The user that is taken unless another is named.
pub const DEFAULT_USER: &str = "81234567";
pub const OTHER_USER: &str = "81234568";

#[derive(Debug)]
struct Shop {
    shop_id: u64,
    user_id: u64,
    name: &'static str,
    login: &'static str,
}

/// Users, their shops and their grants. Clones share them.
#[derive(Debug, Clone)]
pub struct Etsy {
    shops: Arc<[Shop; 2]>,
    pub oauth: OAuth,
}

impl Etsy {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let users = vec![
            Account::new(DEFAULT_USER, "HarvestPantry"),
            Account::new(OTHER_USER, "CornerLinen"),
        ];
        let shops = [
            Shop {
                shop_id: 23_456_789,
                user_id: 81_234_567,
                name: "HarvestPantry",
                login: "harvestpantry",
            },
            Shop {
                shop_id: 23_456_790,
                user_id: 81_234_568,
                name: "CornerLinen",
                login: "cornerlinen",
            },
        ];
        Self {
            shops: Arc::new(shops),
            oauth: oauth::oauth(users, clock),
        }
    }

    fn shop_of(&self, user: &str) -> Option<&Shop> {
        self.shops
            .iter()
            .find(|shop| shop.user_id.to_string() == user)
    }
}

pub(crate) fn router(etsy: &Etsy) -> Router {
    Router::new()
        .route("/v3/application/openapi-ping", get(api::ping))
        .route("/v3/application/users/me", get(api::me))
        .route("/v3/application/users/{id}/shops", get(api::shop_of_user))
        .route("/v3/application/shops/{id}", get(api::shop))
        .route("/v3/application/scopes", post(api::scopes))
        .fallback(async || EtsyError::not_found("Resource not found"))
        .with_state(etsy.clone())
        .merge(etsy.oauth.router())
}

/// How Etsy words a refusal that a fault asked for.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    let (status, error) = match refusal {
        Refusal::RateLimited | Refusal::Quota(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "You have exceeded your quota",
        ),
        Refusal::ServerError(status) => (status, "Server Error"),
        Refusal::TokenExpired | Refusal::TokenRevoked => {
            (StatusCode::UNAUTHORIZED, "invalid_token")
        }
        Refusal::InsufficientScopes => (StatusCode::FORBIDDEN, "insufficient_scope"),
    };
    (status, Json(json!({ "error": error }))).into_response()
}
