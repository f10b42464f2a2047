//! A job's progress as server-sent events.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use patchbay_core::ids::JobId;

use super::{JobView, find};
use crate::{
    access::Caller,
    extract::Id,
    problem::{Problem, ProblemBody},
    progress::{frame_id, revoked::revoked, sse},
    state::Api,
};

/// Follows a job. `progress` events carry the whole job, state and not delta: the first at
/// once, a newer one when something was committed. `end` carries it once more after its
/// last state; then the stream closes. A client that has seen the end and connects again
/// (`Last-Event-ID`) gets 204, which ends an `EventSource`.
#[utoipa::path(
    get, path = "/jobs/{id}/events", tag = "progress",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("Last-Event-ID" = Option<String>, Header, description = "Sent by an `EventSource` that connects again"),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = JobView, description = "Events `progress` and `end`, each with the job as data"),
        (status = 204, description = "The client has seen the end"),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn follow(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<JobId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&api, &caller, id).await?;
    if job.state.is_end() {
        let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        if seen == Some(frame_id(&job).as_str()) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let watch = api.hub.watch_job(job);
    let events = sse::job(watch, api.shutdown.clone());
    Ok(sse::response(events, revoked(api.store, caller)))
}
