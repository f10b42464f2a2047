//! The Square stand-in: reading endpoints of the API, as strict as the real one.
//!
//! Stricter than the real one in three points: `Square-Version` must be sent (a client
//! that relies on the application's default version breaks when somebody moves it), a
//! catalog search refuses a limit outside 1 to 1000 (Square ignores it and answers with
//! pages of another size), and a cursor holds only with every field of its query, limit
//! included. Sources of the rules: Square's public API specification (release 2025-08-20)
//! and the reference texts of its SDK 46.
//!
//! Must not: evaluate what the product does not use. A field Square knows and this
//! stand-in does not is refused like an unknown one, never ignored.

mod catalog;
pub(crate) mod cursor;
mod customers;
pub mod data;
pub(crate) mod errors;
mod gate;
mod input;
mod inventory;
mod merchant;
pub mod oauth;
mod orders;
mod output;
mod shapes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::oauth::OAuth;
use data::{Change, ChangeKind, Dataset, Summary};
use errors::SquareError;

/// The token that the default merchant accepts.
pub const DEFAULT_TOKEN: &str = "sandbox-square-token";
/// The id of the default merchant.
pub const DEFAULT_MERCHANT: &str = "MLSANDBOX0001";
/// Another merchant, with a small catalog, who can consent too.
pub const OTHER_MERCHANT: &str = "MLSANDBOX0002";
/// The token that the other merchant accepts.
pub const OTHER_TOKEN: &str = "sandbox-square-token-2";
/// What a token may do unless it is given less.
pub const SCOPES: [&str; 5] = [
    "MERCHANT_PROFILE_READ",
    "ITEMS_READ",
    "ORDERS_READ",
    "CUSTOMERS_READ",
    "INVENTORY_READ",
];

/// A token and what it is good for. Its text is never shown again.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub token: String,
    pub merchant_id: String,
    #[serde(default)]
    pub status: TokenStatus,
    #[serde(default = "all_scopes")]
    pub scopes: Vec<String>,
    /// RFC 3339; past it the token counts as expired. Default: never.
    #[serde(default)]
    pub expires_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("merchant_id", &self.merchant_id)
            .field("status", &self.status)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn all_scopes() -> Vec<String> {
    SCOPES.map(str::to_owned).to_vec()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStatus {
    #[default]
    Active,
    Expired,
    Revoked,
}

impl Token {
    /// An active token with every scope.
    #[must_use]
    pub fn new(token: impl Into<String>, merchant_id: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            merchant_id: merchant_id.into(),
            status: TokenStatus::Active,
            scopes: all_scopes(),
            expires_at: None,
        }
    }
}

/// A merchant to start with: an id, a token, data.
#[derive(Debug)]
pub struct Account {
    pub merchant_id: String,
    pub token: String,
    pub dataset: Dataset,
}

impl Account {
    /// The default merchant with this data.
    #[must_use]
    pub fn with(dataset: Dataset) -> Self {
        Self {
            merchant_id: DEFAULT_MERCHANT.to_owned(),
            token: DEFAULT_TOKEN.to_owned(),
            dataset,
        }
    }

    /// The other merchant.
    #[must_use]
    pub fn other() -> Self {
        let sizes = data::Sizes {
            items: 12,
            orders: 20,
            customers: 8,
            locations: 1,
            ..data::Sizes::default()
        };
        Self {
            merchant_id: OTHER_MERCHANT.to_owned(),
            token: OTHER_TOKEN.to_owned(),
            dataset: Dataset::seeded(2, &sizes),
        }
    }
}

/// The merchants and their tokens. Clones share them.
#[derive(Debug, Clone)]
pub struct Square {
    clock: Clock,
    merchants: Arc<HashMap<Arc<str>, Arc<RwLock<Dataset>>>>,
    tokens: Arc<Mutex<HashMap<String, Token>>>,
    /// Grants, beside the tokens that are simply set.
    pub oauth: OAuth,
}

/// There is no merchant of this id.
#[derive(Debug, thiserror::Error)]
#[error("no merchant {0:?}; there are {1}")]
pub struct NoMerchant(String, String);

impl Square {
    #[must_use]
    pub fn new(accounts: Vec<Account>, clock: Clock) -> Self {
        let consenting = accounts
            .iter()
            .map(|account| crate::oauth::Account {
                id: account.merchant_id.clone(),
                name: account.dataset.business_name.clone(),
            })
            .collect();
        let mut merchants = HashMap::new();
        let mut tokens = HashMap::new();
        for Account {
            merchant_id,
            token,
            mut dataset,
        } in accounts
        {
            dataset.assign(&merchant_id);
            tokens.insert(token.clone(), Token::new(token, merchant_id.clone()));
            merchants.insert(Arc::from(merchant_id), Arc::new(RwLock::new(dataset)));
        }
        Self {
            oauth: oauth::oauth(consenting, clock.clone()),
            clock,
            merchants: Arc::new(merchants),
            tokens: Arc::new(Mutex::new(tokens)),
        }
    }

    /// Adds a token, or replaces what the same token was good for.
    ///
    /// # Errors
    /// Its merchant does not exist.
    pub fn set_token(&self, token: Token) -> Result<(), NoMerchant> {
        self.dataset(&token.merchant_id)?;
        self.tokens().insert(token.token.clone(), token);
        Ok(())
    }

    /// Figures of every merchant.
    #[must_use]
    pub fn summaries(&self) -> HashMap<String, Summary> {
        let read =
            |(id, data): (&Arc<str>, &Arc<RwLock<Dataset>>)| (id.to_string(), read(data).summary());
        self.merchants.iter().map(read).collect()
    }

    /// Makes `count` changes of mixed kinds.
    ///
    /// # Errors
    /// The merchant does not exist.
    pub fn advance(&self, merchant_id: &str, count: u32) -> Result<Vec<Change>, NoMerchant> {
        let data = self.dataset(merchant_id)?;
        Ok(write(&data).advance(count, self.clock.now_ms()))
    }

    /// Makes one change; `None` when there is nothing of that kind, or no such id.
    ///
    /// # Errors
    /// The merchant does not exist.
    pub fn change(
        &self,
        merchant_id: &str,
        kind: ChangeKind,
        id: Option<&str>,
    ) -> Result<Option<Change>, NoMerchant> {
        let data = self.dataset(merchant_id)?;
        Ok(write(&data).change(kind, id, self.clock.now_ms()))
    }

    /// Makes `count` changes at every merchant.
    pub fn advance_all(&self, count: u32) {
        for data in self.merchants.values() {
            write(data).advance(count, self.clock.now_ms());
        }
    }

    fn dataset(&self, merchant_id: &str) -> Result<Arc<RwLock<Dataset>>, NoMerchant> {
        self.merchants.get(merchant_id).cloned().ok_or_else(|| {
            let mut known: Vec<&str> = self.merchants.keys().map(AsRef::as_ref).collect();
            known.sort_unstable();
            NoMerchant(merchant_id.to_owned(), known.join(", "))
        })
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panicking handler leaves whole rows behind, so its lock can be used on.
fn read(data: &RwLock<Dataset>) -> RwLockReadGuard<'_, Dataset> {
    data.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(data: &RwLock<Dataset>) -> RwLockWriteGuard<'_, Dataset> {
    data.write().unwrap_or_else(PoisonError::into_inner)
}

/// The API's routes, to be mounted at the root or under a prefix.
pub fn router(square: Square) -> Router {
    let gated = Router::new()
        .route("/v2/locations", get(merchant::locations))
        .route("/v2/merchants/{id}", get(merchant::merchant))
        .route("/oauth2/token/status", post(merchant::token_status))
        .route("/v2/catalog/list", get(catalog::list))
        .route("/v2/catalog/search", post(catalog::search))
        .route("/v2/catalog/batch-retrieve", post(catalog::batch_retrieve))
        .route("/v2/catalog/object/{id}", get(catalog::object))
        .route("/v2/orders/search", post(orders::search))
        .route("/v2/orders/batch-retrieve", post(orders::batch_retrieve))
        .route("/v2/customers", get(customers::list))
        .route("/v2/customers/search", post(customers::search))
        .route(
            "/v2/inventory/counts/batch-retrieve",
            post(inventory::batch_retrieve),
        )
        .fallback(async || SquareError::not_found("Resource not found."))
        .method_not_allowed_fallback(async || {
            SquareError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "INVALID_REQUEST_ERROR",
                "METHOD_NOT_ALLOWED",
                "This endpoint does not take this method.",
            )
        })
        .layer(from_fn_with_state(square.clone(), gate::check))
        .with_state(square.clone());
    Router::new()
        .route("/oauth2/revoke", post(oauth::revoke))
        .with_state(square.oauth.clone())
        .merge(square.oauth.router())
        .merge(gated)
}

/// 413, for a body that no request of Square's needs.
pub(crate) fn too_large() -> Response {
    SquareError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "INVALID_REQUEST_ERROR",
        "REQUEST_ENTITY_TOO_LARGE",
        "The request body is too large.",
    )
    .into_response()
}
