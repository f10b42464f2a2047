//! Cancel, retry, discard: what a person can do with a job.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    entities::job::Model as Job,
    events::EventKind,
    ids::{JobId, OrgId},
    job::JobState,
    store::{StoreError, events::NewEvent, job_reads::JobPicture, jobs::Moved},
};
use sea_orm::DatabaseTransaction;

use super::{JobView, find};
use crate::{
    access::Caller,
    extract::{Body, Id, Query},
    once::{self, Made, Turn},
    problem::{Kind, Problem, ProblemBody},
    routes::Empty,
    state::Api,
    wait::{Wait, WaitQuery},
};

/// What a person can do with a job.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Cancel,
    Retry,
    Discard,
}

/// Stops a job: a waiting one never runs, a running one stops within two seconds.
#[utoipa::path(
    post, path = "/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path, description = "The job"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "It has ended", body = ProblemBody),
    ),
)]
pub async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<JobId>,
    body: Body<Empty>,
) -> Result<Json<JobView>, Problem> {
    let job = grant(&api, &caller, id, &body, Wish::Cancel).await?;
    Ok(Json(JobView::of(&api.providers, job)))
}

/// Sends a failed or quarantined job back to work: same id, counters reset. `wait` waits for its end.
#[utoipa::path(
    post, path = "/jobs/{id}/retry", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job"), WaitQuery, once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "It has ended within `wait`", body = JobView),
        (status = 202, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "It is not dead", body = ProblemBody),
    ),
)]
pub async fn retry(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<JobId>,
    Query(wait): Query<WaitQuery>,
    body: Body<Empty>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let job = grant(&api, &caller, id, &body, Wish::Retry).await?;
    let mut jobs = wait.for_jobs(&api, vec![job]).await;
    Ok((jobs.status(), Json(jobs.views.remove(0))).into_response())
}

/// Takes a dead job out of the dead-letter queue; it stays readable.
#[utoipa::path(
    post, path = "/jobs/{id}/discard", tag = "jobs", params(("id" = Uuid, Path, description = "The job"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "It is not dead", body = ProblemBody),
    ),
)]
pub async fn discard(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<JobId>,
    body: Body<Empty>,
) -> Result<Json<JobView>, Problem> {
    let job = grant(&api, &caller, id, &body, Wish::Discard).await?;
    Ok(Json(JobView::of(&api.providers, job)))
}

impl Wish {
    async fn apply(
        self,
        api: &Api,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: JobId,
    ) -> Result<Moved, StoreError> {
        let jobs = api.store.jobs();
        match self {
            Self::Cancel => jobs.cancel(tx, org, id).await,
            Self::Retry => jobs.retry(tx, org, id).await,
            Self::Discard => jobs.discard(tx, org, id).await,
        }
    }

    fn event(self) -> EventKind {
        match self {
            Self::Cancel => EventKind::JobCancelled,
            Self::Retry => EventKind::JobRetried,
            Self::Discard => EventKind::JobDiscarded,
        }
    }
}

/// Move, event and idempotency row in one transaction; then the job as it is.
async fn grant(
    api: &Api,
    caller: &Caller,
    id: JobId,
    body: &Body<Empty>,
    wish: Wish,
) -> Result<JobPicture, Problem> {
    if let Turn::First(mut work) = once::begin(api, caller, &body.once).await? {
        let job = match wish.apply(api, &work.tx, caller.org, id).await? {
            Moved::Done(job) => job,
            Moved::Refused(job) => return Err(refused(wish, &job)),
            Moved::Missing => return Err(Problem::not_found("job")),
        };
        let mut event = NewEvent::new(caller.org, wish.event(), caller.actor()).job(id);
        if let Some(connection) = job.connection_id {
            event = event.connection(connection);
        }
        api.store.record_event(&work.tx, event).await?;
        work.announcement.job(&job);
        work.end(Made::Jobs(vec![id])).await?;
    }
    find(api, caller, id).await
}

fn refused(wish: Wish, job: &Job) -> Problem {
    let dead = matches!(job.state, JobState::Failed | JobState::Quarantined);
    let state = sea_orm::ActiveEnum::to_value(&job.state);
    let detail = match wish {
        Wish::Cancel => format!(
            "The job is {state}: it has ended and cannot be cancelled any more. Nothing to do."
        ),
        Wish::Retry if dead && job.sealed.is_none() && job.sealed_key.is_some() => {
            "The secret that this job was asked with is no longer kept. Send the credential again."
                .to_owned()
        }
        Wish::Retry if dead => {
            "The same work waits or runs as another job already. Nothing to do.".to_owned()
        }
        Wish::Retry => format!(
            "The job is {state}; only failed and quarantined jobs can be retried. Start the work anew where it is needed again."
        ),
        Wish::Discard => {
            format!(
                "The job is {state}; only failed and quarantined jobs that are not discarded yet can be discarded."
            )
        }
    };
    Problem::new(Kind::JobState, detail)
}
