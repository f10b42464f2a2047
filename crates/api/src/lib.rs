//! The HTTP API: writes rows, enqueues jobs, answers. It calls no provider and
//! holds no key that opens a credential; it can only seal.
//!
//! A request passes: [`access`] (key and role, from one table) -> [`extract`] (what
//! it brings, every error at once) -> a handler in `routes` -> stores in core. What
//! goes wrong is a [`problem`]. Progress goes out through `progress`.

pub mod access;
mod consent_settings;
mod extract;
mod once;
mod pages;
pub mod problem;
mod progress;
mod routes;
mod schemas;
mod serve;
mod state;
mod wait;
mod write_deadline;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware,
};
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::{
    catch_panic::CatchPanicLayer, normalize_path::NormalizePathLayer, trace::TraceLayer,
};

pub use consent_settings::{ConsentSettings, redirect_uri};
pub use serve::serve;
pub use state::ApiDeps;

use problem::{Kind, Problem};
use state::Api;

/// The API as a router; its progress streams end with it.
pub fn router(deps: ApiDeps) -> Router {
    router_until(deps, CancellationToken::new())
}

pub(crate) fn router_until(deps: ApiDeps, shutdown: CancellationToken) -> Router {
    let (routes, document) = routes::all();
    let document = document
        .to_pretty_json()
        .expect("the document is JSON")
        .into();
    let api = Api::new(deps, document, shutdown);
    let routes = routes
        .layer(middleware::from_fn_with_state(api.clone(), access::guard))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Problem::internal(&"a handler panicked"))
        }))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .with_state(api);
    // Outside of the routes, because a path is changed before it is matched.
    let trimmed = NormalizePathLayer::trim_trailing_slash().layer(routes);
    Router::new().fallback_service(trimmed)
}

/// The OpenAPI document, as it is committed in `docs/openapi.json`.
#[must_use]
pub fn openapi() -> String {
    let mut text = routes::all()
        .1
        .to_pretty_json()
        .expect("the document is JSON");
    text.push('\n');
    text
}

/// Method, route, status and time of a request, at debug. No header, and the route in place
/// of the path and its query: tickets, states and codes stand there.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>();
    tracing::debug_span!(
        "request",
        method = %request.method(),
        route = route.map_or("", MatchedPath::as_str),
    )
}

async fn no_route() -> Problem {
    Problem::new(
        Kind::NotFound,
        "The API has no such route. `/docs` lists the routes.",
    )
}

async fn no_method() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "The route does not know this method. `/docs` lists the methods of each route.",
    )
}
