//! Pause and resume.

use axum::{Json, extract::State};
use patchbay_core::ids::ScheduleId;

use super::{ScheduleView, hold, show};
use crate::{
    access::Caller,
    extract::{Body, Id},
    once::{self, Made, Turn},
    problem::{Problem, ProblemBody},
    routes::Empty,
    state::Api,
};

/// Stops a schedule until it is resumed. Jobs that it made go on.
#[utoipa::path(
    post, path = "/schedules/{id}/pause", tag = "schedules",
    params(("id" = Uuid, Path, description = "The schedule"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "Paused; also if it was before", body = ScheduleView),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ScheduleId>,
    body: Body<Empty>,
) -> Result<Json<ScheduleView>, Problem> {
    switch(&api, &caller, id, body, true).await
}

/// Lets a paused schedule go on with its next time. What passed meanwhile is not made up for.
#[utoipa::path(
    post, path = "/schedules/{id}/resume", tag = "schedules",
    params(("id" = Uuid, Path, description = "The schedule"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "It runs; also if it did before", body = ScheduleView),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ScheduleId>,
    body: Body<Empty>,
) -> Result<Json<ScheduleView>, Problem> {
    switch(&api, &caller, id, body, false).await
}

async fn switch(
    api: &Api,
    caller: &Caller,
    id: ScheduleId,
    body: Body<Empty>,
    paused: bool,
) -> Result<Json<ScheduleView>, Problem> {
    body.faults.with(Ok(()))?;
    let now = api.store.jobs().now().await?;
    if let Turn::First(work) = once::begin(api, caller, &body.once).await? {
        let row = hold(api, &work.tx, caller, id).await?;
        let actor = caller.actor();
        match (paused, row.paused_at) {
            (true, None) => {
                api.store.pause_schedule(&work.tx, row, &actor, now).await?;
            }
            (false, Some(_)) => {
                api.store
                    .resume_schedule(&work.tx, row, &actor, now)
                    .await?;
            }
            (true, Some(_)) | (false, None) => {}
        }
        work.end(Made::Schedule(id)).await?;
    }
    Ok(Json(show(api, caller, id).await?))
}
