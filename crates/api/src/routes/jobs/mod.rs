//! Jobs: what they are, one, and the list.

pub mod follow;
pub mod logs;
pub mod moves;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    failure::{Failure, FailureKind, NextAction, NextActionKind},
    ids::{ConnectionId, JobId},
    job::{JobKind, JobState, Queue},
    progress::Progress,
    store::job_reads::{JobFilter, JobPicture},
};
use patchbay_providers::Registry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::Caller,
    extract::{Id, Query},
    pages::{self, List, Page},
    problem::{Problem, ProblemBody},
    schemas,
    state::Api,
    wait::{Wait, WaitQuery},
};

/// A durable piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// The job.
    #[schema(value_type = Uuid)]
    pub id: JobId,
    /// What it does.
    #[schema(schema_with = schemas::job_kind)]
    pub kind: JobKind,
    /// Where it stands. `parked` waits for a working credential, or for the connection to be enabled.
    #[schema(schema_with = schemas::job_state)]
    pub state: JobState,
    /// Who serves it.
    #[schema(schema_with = schemas::queue)]
    pub queue: Queue,
    /// The connection it works on.
    #[schema(value_type = Option<Uuid>)]
    pub connection_id: Option<ConnectionId>,
    /// What was asked for, such as the stream of a sync. Never secret.
    #[schema(value_type = Object)]
    pub args: Value,
    /// The present picture of the work, once there is any.
    pub progress: Option<ProgressView>,
    /// What it came to.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// The last failure; a job that is queued again keeps it until it succeeds.
    pub error: Option<FailureView>,
    /// Attempts burnt.
    pub attempt: i32,
    /// Attempts it has: a number of its own, or what the organization's retry policy says now.
    pub max_attempts: i32,
    /// Times its process died under it.
    pub crashes: i32,
    /// The same work was asked for while it ran: it runs once more when it ends.
    pub again: bool,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// Who asked: `api_key:<id>`, `schedule`, `system`.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it first began to run.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was taken out of the dead-letter queue.
    pub discarded_at: Option<DateTime<Utc>>,
}

/// Progress as state, not delta: enough to draw it, whole, at any moment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressView {
    /// What is being done, in words.
    pub stage: String,
    /// Units done and committed. Never goes back within a job.
    pub done: u64,
    /// Units in all, where the provider tells.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: String,
    /// Units a second over the last seconds.
    pub rate: Option<f64>,
    /// Of `done`: changed, unchanged and so on, by name.
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// A failure that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// The class.
    #[schema(schema_with = schemas::failure_kind)]
    pub kind: FailureKind,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub action: String,
    /// The provider's own error code.
    pub code: Option<String>,
    /// What to do about it, for machines.
    pub next_action: NextActionView,
    /// What a business notices while it lasts, where it happened with a provider.
    pub impact: Option<String>,
}

/// What a person does next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NextAction)]
pub struct NextActionView {
    /// `wait_until`: nothing to do, it is tried again by itself; `fix_field`: correct the field,
    /// or what was asked for; `contact_operator`: whoever runs Patchbay has to look.
    #[schema(schema_with = schemas::next_action_kind)]
    pub kind: NextActionKind,
    /// Of `wait_until`: until when, where that is known.
    pub until: Option<DateTime<Utc>>,
    /// Of `fix_field`: JSON pointer to the field, where it is known.
    pub field: Option<String>,
}

impl From<NextAction> for NextActionView {
    fn from(action: NextAction) -> Self {
        Self {
            kind: action.kind,
            until: action.until,
            field: action.field,
        }
    }
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        Self {
            next_action: failure.what_next().into(),
            impact: failure.impact,
            kind: failure.kind,
            message: failure.message,
            action: failure.action,
            code: failure.code,
        }
    }
}

/// A stored failure, if it can be read.
pub fn failure(stored: Option<Value>) -> Option<FailureView> {
    serde_json::from_value::<Failure>(stored?)
        .ok()
        .map(Into::into)
}

/// What happened to a job, as it is with its provider. The job's worker says so itself where it
/// came as far as the connection; a job that was set aside has no worker that could.
fn explained(job: &mut JobPicture, known: &Registry) -> Option<FailureView> {
    let failure: Failure = serde_json::from_value(job.error.take()?).ok()?;
    let provider = job.provider.as_deref().and_then(|key| known.get(key));
    let mut view = FailureView::from(match provider.map(|provider| provider.manifest()) {
        Some(manifest) => failure.explained(manifest.auth.kind.opening(), &manifest.impact),
        None => failure,
    });
    if job.state == JobState::Queued {
        // Whatever it was, the job is tried again by itself.
        view.next_action = NextAction::wait_until(job.run_at).into();
    }
    Some(view)
}

impl JobView {
    /// A job as it is shown; `known` says what its failure means.
    pub fn of(known: &Registry, mut job: JobPicture) -> Self {
        let error = explained(&mut job, known);
        let progress = job
            .progress
            .and_then(|stored| serde_json::from_value::<Progress>(stored).ok());
        Self {
            id: job.id,
            kind: job.kind,
            state: job.state,
            queue: job.queue,
            connection_id: job.connection_id,
            args: job.args,
            progress: progress.map(|progress| ProgressView {
                stage: progress.stage,
                done: progress.done,
                total: progress.total,
                unit: progress.unit,
                rate: progress.rate,
                counts: progress.counts,
            }),
            result: job.result,
            error,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            crashes: job.crashes,
            again: job.again,
            run_at: job.run_at,
            requested_by: job.requested_by,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            discarded_at: job.discarded_at,
        }
    }
}

/// Which jobs to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// Only in this state.
    #[param(schema_with = schemas::job_state)]
    pub state: Option<JobState>,
    /// Only of this kind.
    #[param(schema_with = schemas::job_kind)]
    pub kind: Option<JobKind>,
    /// Only in this queue.
    #[param(schema_with = schemas::queue)]
    pub queue: Option<Queue>,
    /// Only of this connection.
    #[param(value_type = Option<Uuid>)]
    pub connection: Option<ConnectionId>,
    /// `true`: only the dead-letter queue (failed or quarantined, not discarded).
    pub dead: Option<bool>,
    /// Only of this group of the dead-letter queue, as `GET dead-jobs` names it.
    pub group: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Entries of the page: 1 to 200, 50 if not said.
    pub limit: Option<u64>,
}

/// Lists the organization's jobs, newest first.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, body = Page<JobView>), (status = 400, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<JobsQuery>,
) -> Result<Json<Page<JobView>>, Problem> {
    let limit = pages::limit(query.limit)?;
    let before = pages::place(List::Jobs, query.cursor.as_deref())?;
    let filter = JobFilter {
        state: query.state,
        kind: query.kind,
        queue: query.queue,
        connection: query.connection,
        dead: query.dead.unwrap_or(false),
        dead_group: query.group,
    };
    let rows = api
        .store
        .jobs_page(caller.org, &filter, before, limit + 1)
        .await?;
    Ok(Json(Page::of(
        List::Jobs,
        rows,
        limit,
        |job| job.id,
        |job| JobView::of(&api.providers, job),
    )))
}

/// One job, with its present progress. `wait` waits for its end.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path, description = "The job"), WaitQuery),
    responses((status = 200, body = JobView), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<JobId>,
    Query(wait): Query<WaitQuery>,
) -> Result<Json<JobView>, Problem> {
    let wait = Wait::of(&wait)?;
    let job = find(&api, &caller, id).await?;
    let mut jobs = wait.for_jobs(&api, vec![job]).await;
    Ok(Json(jobs.views.remove(0)))
}

/// The job in the caller's org.
pub async fn find(api: &Api, caller: &Caller, id: JobId) -> Result<JobPicture, Problem> {
    api.store
        .job(caller.org, id)
        .await?
        .ok_or_else(|| Problem::not_found("job"))
}
