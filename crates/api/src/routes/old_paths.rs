//! The older paths, without `connections`: 308 keeps method and body (RFC 9110, section 15.4.9).

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use patchbay_core::ids::ConnectionId;

use crate::{access::BASE, state::Api};

pub fn router() -> Router<Api> {
    let router = Router::new().route(BASE, any(|uri: Uri| async move { moved("", &uri) }));
    ["", "/test", "/sync"]
        .into_iter()
        .fold(router, |router, rest| {
            let handler = move |Path(id): Path<String>, uri: Uri| async move {
                // Only what can be a connection's id: a typing error in a newer path is a plain 404.
                match id.parse::<ConnectionId>() {
                    Ok(id) => moved(&format!("/{id}{rest}"), &uri),
                    Err(_) => crate::no_route().await.into_response(),
                }
            };
            router.route(&format!("{BASE}/{{id}}{rest}"), any(handler))
        })
}

fn moved(rest: &str, uri: &Uri) -> Response {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let target = format!("{BASE}/connections{rest}{query}");
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, target)]).into_response()
}
