//! The older paths, without `connections`: 308 keeps method and body (RFC 9110, section 15.4.9).

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use patchbay_core::ids::ConnectionId;

use crate::{
    access::BASE,
    problem::{Kind, Problem},
    state::Api,
};

pub fn router() -> Router<Api> {
    Router::new()
        .route(BASE, any(|uri: Uri| async move { moved("", "", &uri) }))
        .route(
            &format!("{BASE}/{{id}}"),
            any(|Path(id): Path<String>, uri: Uri| async move { moved(&id, "", &uri) }),
        )
        .route(
            &format!("{BASE}/{{id}}/test"),
            any(|Path(id): Path<String>, uri: Uri| async move { moved(&id, "/test", &uri) }),
        )
        .route(
            &format!("{BASE}/{{id}}/sync"),
            any(|Path(id): Path<String>, uri: Uri| async move { moved(&id, "/sync", &uri) }),
        )
}

fn moved(id: &str, rest: &str, uri: &Uri) -> Response {
    // Only what can be a connection's id: a typing error in a newer path is a plain 404.
    if !id.is_empty() && id.parse::<ConnectionId>().is_err() {
        return Problem::new(
            Kind::NotFound,
            "The API has no such route. `/docs` lists the routes.",
        )
        .into_response();
    }
    let id = if id.is_empty() {
        String::new()
    } else {
        format!("/{id}")
    };
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let target = format!("{BASE}/connections{id}{rest}{query}");
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, target)]).into_response()
}
