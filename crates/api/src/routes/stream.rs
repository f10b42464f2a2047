//! Everything active in an organization as server-sent events.

use axum::{extract::State, response::Response};

use crate::{
    access::Caller,
    progress::{revoked::revoked, sse},
    state::Api,
};

/// Follows the organization: `picture` first (its newest active jobs, 200 at most, its
/// connections, and its newest alerts that are not resolved, 200 at most), then `job`,
/// `connection` and `alert` events with the whole job, connection or alert that changed: an alert
/// when it is raised, seen again, acknowledged, silenced, resolved or raised again. A client that
/// connects again gets the present picture.
#[utoipa::path(
    get, path = "/stream", tag = "progress",
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events `picture`, `job`, `connection` and `alert`")),
)]
pub async fn follow(State(api): State<Api>, caller: Caller) -> Response {
    let room = api.hub.watch_org(caller.org);
    let events = sse::org(room, api.shutdown.clone());
    sse::response(events, revoked(api.store, caller))
}
