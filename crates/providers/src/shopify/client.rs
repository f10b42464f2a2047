//! Queries of Shopify's Admin API (GraphQL), and what its answers mean: errors of a query
//! come with status 200. It only reads, so each call may be repeated.

use patchbay_core::{
    failure::FailureKind,
    outbound::{OutboundRequest, OutboundResponse, StatusCode, header::HeaderName},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error::ProviderError, session::Session};

const TOKEN: HeaderName = HeaderName::from_static("x-shopify-access-token");

/// The latest stable version; each lives twelve months at least.
const PATH: &str = "/admin/api/2026-10/graphql.json";

const STORE: &str =
    "{ shop { id name myshopifyDomain } currentAppInstallation { accessScopes { handle } } }";

/// The store behind a token.
#[derive(Debug)]
pub(super) struct Store {
    pub id: String,
    pub name: String,
    pub scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<QueryError>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    shop: Shop,
    current_app_installation: Installation,
}

#[derive(Debug, Deserialize)]
struct Shop {
    id: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Installation {
    access_scopes: Vec<Scope>,
}

#[derive(Debug, Deserialize)]
struct Scope {
    handle: String,
}

#[derive(Debug, Deserialize)]
struct QueryError {
    message: String,
    extensions: Option<Extensions>,
}

#[derive(Debug, Deserialize)]
struct Extensions {
    code: Option<String>,
}

/// The store and what the token may do there.
pub(super) async fn store(session: &Session) -> Result<Store, ProviderError> {
    let query = json!({ "query": STORE });
    let request = OutboundRequest::post_json(session.url(PATH), &query)?
        .credential(session.header(TOKEN, "access_token")?);
    let response = session.read(request, is_hasty).await?;
    let Data {
        shop,
        current_app_installation,
    } = understand(&response, session)?;
    let scopes = current_app_installation.access_scopes;
    Ok(Store {
        id: shop.id,
        name: shop.name,
        scopes: scopes.into_iter().map(|scope| scope.handle).collect(),
    })
}

/// A query that costs too much for now is refused with status 200.
fn is_hasty(response: &OutboundResponse) -> bool {
    response.status == StatusCode::OK
        && serde_json::from_slice::<Value>(&response.body).is_ok_and(|answer| {
            answer.pointer("/errors/0/extensions/code") == Some(&json!("THROTTLED"))
        })
}

fn understand(response: &OutboundResponse, session: &Session) -> Result<Data, ProviderError> {
    let status = response.status.as_u16();
    let answer = serde_json::from_slice::<Answer>(&response.body).ok();
    let error = match answer {
        Some(Answer {
            data: Some(data),
            errors,
        }) if errors.is_empty() && response.status.is_success() => return Ok(data),
        Some(Answer { errors, .. }) if !errors.is_empty() => {
            let first = &errors[0];
            let code = first.extensions.as_ref().and_then(|it| it.code.clone());
            let named = code.as_deref().unwrap_or("no code");
            let words = format!("Shopify refused the query, {named}: {}", first.message);
            let (kind, action) = by_code(named);
            ProviderError {
                code,
                ..ProviderError::new(kind, words, action)
            }
        }
        Some(_) | None => {
            let words = format!("Shopify answered {PATH} with {status} and no data.");
            let (kind, action) = by_status(status);
            ProviderError::new(kind, words, action)
        }
    };
    Err(ProviderError {
        retry_after: response.retry_after(session.now()),
        ..error
    })
}

const AGAIN: &str = "Connect the store again.";
const BY_ITSELF: &str = "Nothing: it goes on by itself when Shopify allows more calls.";
const IF_IT_LASTS: &str = "See shopifystatus.com if it lasts.";
const SHUT: &str = "The store is shut or unpaid: its owner must open it at Shopify.";

fn by_code(code: &str) -> (FailureKind, &'static str) {
    match code {
        "THROTTLED" => (FailureKind::RateLimited, BY_ITSELF),
        "ACCESS_DENIED" => (FailureKind::Scope, AGAIN),
        "SHOP_INACTIVE" => (FailureKind::Scope, SHUT),
        "INTERNAL_SERVER_ERROR" => (FailureKind::ProviderDown, IF_IT_LASTS),
        _ => (
            FailureKind::Invalid,
            "Shopify refuses this query as wrong: report it with the job's id.",
        ),
    }
}

fn by_status(status: u16) -> (FailureKind, &'static str) {
    match status {
        401 => (FailureKind::Auth, AGAIN),
        402 | 423 => (FailureKind::Scope, SHUT),
        403 => (FailureKind::Scope, AGAIN),
        404 => (
            FailureKind::NotFound,
            "Check the store's address; it may have been renamed or closed.",
        ),
        429 => (FailureKind::RateLimited, BY_ITSELF),
        408 | 504 => (FailureKind::Timeout, IF_IT_LASTS),
        500..=599 => (FailureKind::ProviderDown, IF_IT_LASTS),
        _ => (
            FailureKind::Protocol,
            "Shopify's answer is not what its API describes; if it stays, report it.",
        ),
    }
}
