//! The Admin API: GraphQL for the shop and the installation, and the way out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::graphql::{Operation, select};
use crate::oauth::{Bearer, Ended, OAuth};
use crate::requests::AccountId;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    query: String,
    #[serde(rename = "variables")]
    _variables: Option<Value>,
    #[serde(rename = "operationName")]
    _operation_name: Option<String>,
}

pub(super) async fn graphql(
    State(oauth): State<OAuth>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_version(&version) {
        return not_found();
    }
    let Some(bearer) = bearer(&oauth, &headers) else {
        return unauthorized();
    };
    let mut response = answer(&oauth, &bearer, &headers, &body);
    if let Ok(version) = version.parse() {
        response
            .headers_mut()
            .insert("x-shopify-api-version", version);
    }
    let account = AccountId(bearer.account.id.into());
    response.extensions_mut().insert(account);
    response
}

fn answer(oauth: &OAuth, bearer: &Bearer, headers: &HeaderMap, body: &[u8]) -> Response {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    let Some(document) = is_json
        .then(|| serde_json::from_slice::<Document>(body).ok())
        .flatten()
    else {
        let error = json!({ "errors": { "query": "Required parameter missing or invalid" } });
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    };
    let Some(operation) = Operation::parse(&document.query) else {
        return errors(&json!({ "message": "syntax error" }));
    };
    let (root, type_name) = match operation.is_mutation {
        false => (query_root(bearer), "QueryRoot"),
        true => (
            json!({ "appUninstall": {
                "app": { "id": "gid://shopify/App/1", "title": "Patchbay" },
                "userErrors": [],
            }}),
            "Mutation",
        ),
    };
    match select(&operation.fields, &root, type_name) {
        Err(error) => errors(&error),
        Ok(data) => {
            if operation.is_mutation {
                uninstall(oauth, bearer);
            }
            Json(json!({
                "data": data,
                "extensions": { "cost": {
                    "requestedQueryCost": operation.fields.len(),
                    "actualQueryCost": operation.fields.len(),
                    "throttleStatus": {
                        "maximumAvailable": 2000.0, "currentlyAvailable": 1998, "restoreRate": 100.0,
                    },
                }},
            }))
            .into_response()
        }
    }
}

fn query_root(bearer: &Bearer) -> Value {
    let domain = bearer.account.id.as_str();
    let scopes: Vec<Value> = bearer
        .scopes
        .iter()
        .map(|scope| json!({ "handle": scope, "description": scope.replace('_', " ") }))
        .collect();
    json!({
        "shop": {
            "id": super::shop_id(domain),
            "name": bearer.account.name,
            "myshopifyDomain": domain,
            "currencyCode": "USD",
            "ianaTimezone": "America/New_York",
            "email": format!("owner@{domain}"),
            "url": format!("https://{domain}"),
            "plan": { "displayName": "Basic", "partnerDevelopment": true, "shopifyPlus": false },
        },
        "currentAppInstallation": {
            "id": "gid://shopify/AppInstallation/1",
            "accessScopes": scopes,
        },
    })
}

/// GraphQL errors come with 200.
fn errors(error: &Value) -> Response {
    Json(json!({ "errors": [error] })).into_response()
}

/// `DELETE /admin/api_permissions/current.json`: uninstalls the app, without GraphQL.
pub(super) async fn drop_permissions(State(oauth): State<OAuth>, headers: HeaderMap) -> Response {
    let Some(bearer) = bearer(&oauth, &headers) else {
        return unauthorized();
    };
    uninstall(&oauth, &bearer);
    Json(json!({})).into_response()
}

/// Ends all tokens of the shop for the app at once.
fn uninstall(oauth: &OAuth, bearer: &Bearer) {
    let (shop, client) = (bearer.account.id.as_str(), bearer.client_id.as_str());
    oauth
        .ledger()
        .end_all(Some(shop), Some(client), Ended::Revoked);
}

fn bearer(oauth: &OAuth, headers: &HeaderMap) -> Option<Bearer> {
    let token = headers.get("x-shopify-access-token")?.to_str().ok()?;
    oauth.bearer(token).ok()
}

/// Quarterly, or `unstable`.
fn is_version(version: &str) -> bool {
    let quarter = |text: &str| {
        let (year, month) = text.split_once('-')?;
        let is_year = year.len() == 4 && year.parse::<u16>().is_ok();
        Some(is_year && ["01", "04", "07", "10"].contains(&month))
    };
    version == "unstable" || quarter(version) == Some(true)
}

pub(super) fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        Json(json!({ "errors": "Not Found" })),
    )
        .into_response()
}

pub(super) fn unauthorized() -> Response {
    let error = "[API] Invalid API key or access token (unrecognized login or wrong password)";
    (StatusCode::UNAUTHORIZED, Json(json!({ "errors": error }))).into_response()
}
