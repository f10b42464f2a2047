//! A run now, beside the clock.

use axum::{extract::State, response::Response};
use patchbay_core::{
    connection::ConnectionStatus,
    events::EventKind,
    ids::ScheduleId,
    job::NewJob,
    schedule::{blocked, job_of},
    store::events::NewEvent,
};
use serde_json::json;

use super::find;
use crate::{
    access::Caller,
    extract::{Body, Id, Query},
    once::{self, Made, Turn},
    problem::{Kind, Problem, ProblemBody},
    routes::{Empty, connections, jobs::JobView},
    state::Api,
    wait::{Wait, WaitQuery},
};

/// Runs a schedule now; a paused one too. Its next times stay. Where the same work waits
/// already, this gets that job; while it runs, it will run once more.
#[utoipa::path(
    post, path = "/schedules/{id}/run", tag = "schedules",
    params(("id" = Uuid, Path, description = "The schedule"), WaitQuery, once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "It has ended within `wait`", body = JobView),
        (status = 202, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "The connection, or the stream's capability, is switched off", body = ProblemBody),
    ),
)]
pub async fn run(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ScheduleId>,
    Query(wait): Query<WaitQuery>,
    body: Body<Empty>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    body.faults.with(Ok(()))?;
    let now = api.store.jobs().now().await?;
    let connection = find(&api, &caller, id).await?.connection_id;
    let made = match once::begin(&api, &caller, &body.once).await? {
        Turn::Again(made) => made,
        Turn::First(mut work) => {
            let row = connections::hold(&api, &work.tx, &caller, connection).await?;
            // It may have been deleted, or its connection disconnected, a moment ago.
            let schedule = api.store.schedule(&work.tx, caller.org, id).await?;
            let schedule = schedule.ok_or_else(|| Problem::not_found("schedule"))?;
            if let Some(why) = blocked(&schedule, row.status, &row.capabilities_off) {
                return Err(Problem::new(Kind::ConnectionState, why.words()));
            }
            let new = NewJob {
                trace_context: caller.trace_context.clone(),
                ..job_of(&schedule, now, false, caller.actor())
            };
            let parks = matches!(
                row.status,
                ConnectionStatus::Error | ConnectionStatus::Expired
            );
            let start = connections::sync::start(&api, &mut work, connection, vec![new], parks);
            let jobs = start.await?;
            let told = json!({ "streams": [schedule.stream], "schedule": id });
            let event = NewEvent::new(caller.org, EventKind::SyncRequested, caller.actor());
            api.store
                .record_event(&work.tx, event.connection(connection).data(told))
                .await?;
            work.end(Made::Jobs(jobs)).await?
        }
    };
    wait.answer(&api, caller.org, &made.into_jobs()).await
}
