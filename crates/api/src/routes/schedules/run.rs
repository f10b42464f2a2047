//! A run now, beside the clock.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
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
    once::{self, Made},
    problem::{Kind, Problem, ProblemBody},
    routes::{Empty, connections, jobs::JobView},
    state::{Announcement, Api},
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
    let tx = api.store.begin().await?;
    let mut announcement = Announcement::default();
    let jobs = match once::take(&api, &tx, &caller, &body.once).await? {
        Some(made) => made.into_jobs(),
        None => {
            let row = connections::hold(&api, &tx, &caller, connection).await?;
            // It may have been deleted, or its connection disconnected, a moment ago.
            let schedule = api.store.schedule(&tx, caller.org, id).await?;
            let schedule = schedule.ok_or_else(|| Problem::not_found("schedule"))?;
            if let Some(why) = blocked(&schedule, row.status, &row.capabilities_off) {
                return Err(Problem::new(Kind::ConnectionState, why.words()));
            }
            let new = NewJob {
                trace_context: caller.trace_context.clone(),
                ..job_of(&schedule, now, false, caller.actor())
            };
            let enqueued = api.store.jobs().enqueue(&tx, vec![new]).await?;
            let ids: Vec<_> = enqueued.iter().map(|one| one.job().id).collect();
            match row.status {
                ConnectionStatus::Error | ConnectionStatus::Expired => {
                    api.store.jobs().park_queued(&tx, connection).await?;
                    for job in &ids {
                        announcement.look_at_job(Some(caller.org), *job);
                    }
                }
                ConnectionStatus::Active
                | ConnectionStatus::Pending
                | ConnectionStatus::Disabled
                | ConnectionStatus::Disconnected => {
                    enqueued.iter().for_each(|one| announcement.enqueued(one));
                }
            }
            let told = json!({ "streams": [schedule.stream], "schedule": id });
            let event = NewEvent::new(caller.org, EventKind::SyncRequested, caller.actor());
            api.store
                .record_event(&tx, event.connection(connection).data(told))
                .await?;
            once::made(&api, &tx, &caller, &body.once, &Made::Jobs(ids.clone())).await?;
            ids
        }
    };
    tx.commit().await?;
    api.announce(announcement);
    let mut waited = wait.for_ids(&api, caller.org, &jobs).await?;
    if waited.views.is_empty() {
        return Err(Problem::not_found("job"));
    }
    Ok((waited.status(), Json(waited.views.remove(0))).into_response())
}
