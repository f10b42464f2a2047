//! Everything active in an organization as server-sent events.

use axum::{extract::State, response::Response};

use crate::{
    access::Caller,
    progress::{revoked::revoked, sse},
    state::Api,
};

/// Follows the organization: `picture` first (its newest active jobs, 200 at most, and its
/// connections), then `job` and `connection` events with the whole job or connection that
/// changed. A client that connects again gets the present picture.
#[utoipa::path(
    get, path = "/stream", tag = "progress",
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events `picture`, `job` and `connection`")),
)]
pub async fn follow(State(api): State<Api>, caller: Caller) -> Response {
    let room = api.hub.watch_org(caller.org);
    let events = sse::org(room, api.shutdown.clone());
    sse::response(events, revoked(api.store, caller))
}
