//! Test and check: asks the provider, through a worker, whether a connection works.

use std::time::Duration;

use axum::{extract::State, response::Response};
use patchbay_core::{
    ids::ConnectionId,
    job::{JobKind, NewJob, Queue},
    job_args::{CheckReason, HealthCheckArgs},
};

use super::{hold_connected, tested};
use crate::{
    access::Caller,
    extract::{Body, Id, Once, Query},
    once::{self, Made, Turn},
    problem::{Kind, Problem, ProblemBody},
    routes::{Empty, jobs::JobView},
    state::Api,
    wait::{Wait, WaitQuery},
};

/// A check that has no answer by then has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Which question is asked.
#[derive(Debug, Clone, Copy)]
enum Question {
    Test,
    Check,
}

/// Tests the credential in force with the present config. A passed test makes the connection
/// `active` and its parked jobs go on.
#[utoipa::path(
    post, path = "/connections/{id}/test", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), WaitQuery, once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "It has ended within `wait`", body = JobView),
        (status = 202, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected, or without a credential", body = ProblemBody),
    ),
)]
pub async fn test(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: Empty {},
        faults,
        once,
    }: Body<Empty>,
) -> Result<Response, Problem> {
    faults.with(Ok(()))?;
    ask(&api, &caller, id, &once, Wait::of(&wait)?, Question::Test).await
}

/// Checks the connection's health now and writes the outcome to its health log.
#[utoipa::path(
    post, path = "/connections/{id}/check", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), WaitQuery, once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "It has ended within `wait`", body = JobView),
        (status = 202, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected, or without a credential", body = ProblemBody),
    ),
)]
pub async fn check(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: Empty {},
        faults,
        once,
    }: Body<Empty>,
) -> Result<Response, Problem> {
    faults.with(Ok(()))?;
    ask(&api, &caller, id, &once, Wait::of(&wait)?, Question::Check).await
}

async fn ask(
    api: &Api,
    caller: &Caller,
    id: ConnectionId,
    once: &Once,
    wait: Wait,
    question: Question,
) -> Result<Response, Problem> {
    let made = match once::begin(api, caller, once).await? {
        Turn::Again(made) => made,
        Turn::First(mut work) => {
            let row = hold_connected(api, &work.tx, caller, id).await?;
            if api
                .store
                .current_credential(&work.tx, caller.org, id)
                .await?
                .is_none()
            {
                return Err(Problem::new(
                    Kind::ConnectionState,
                    "The connection has no credential that passed its test, so there is nothing to ask with. \
                     Send one: PUT /api/integrations/connections/{id}/credential.",
                ));
            }
            let job = match question {
                Question::Test => {
                    let config = row.config.clone();
                    tested::enqueue(api, &work.tx, caller, &row, config, None).await?
                }
                Question::Check => enqueue_check(api, &work.tx, caller, id).await?,
            };
            work.announcement.job(&job);
            work.end(Made::Jobs(vec![job.id])).await?
        }
    };
    wait.answer(api, caller.org, &made.into_jobs()).await
}

async fn enqueue_check(
    api: &Api,
    tx: &sea_orm::DatabaseTransaction,
    caller: &Caller,
    id: ConnectionId,
) -> Result<patchbay_core::entities::job::Model, Problem> {
    let args = serde_json::to_value(HealthCheckArgs {
        reason: CheckReason::Manual,
    })
    .expect("an enum is JSON");
    let new = NewJob {
        connection: Some(id),
        args,
        max_attempts: 1,
        timeout: CHECK_TIMEOUT,
        dedupe_key: Some(format!("{id}:check")),
        ..caller.job(JobKind::HealthCheck, Queue::Interactive)
    };
    api.enqueue_one(tx, new).await
}
