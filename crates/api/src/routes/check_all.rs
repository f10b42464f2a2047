//! A check of every connection of the organization.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    connection::ConnectionStatus,
    ids::ConnectionId,
    job::{JobKind, NewJob, Queue},
    job_args::{CheckReason, HealthBatchArgs},
    store::health::{BATCH_TIMEOUT, IN_A_BATCH},
};
use sea_orm::DatabaseTransaction;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    extract::{Body, Query},
    once::{self, Made, Turn},
    problem::{Problem, ProblemBody},
    routes::{Empty, jobs::JobView},
    state::Api,
    wait::{Wait, WaitQuery},
};

/// The jobs of a check of all connections.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckAllJobs {
    /// One for up to 100 connections of a provider; none where there is nothing to check.
    jobs: Vec<JobView>,
}

/// Checks the health of every connection that is active, in error or expired, and writes the
/// outcomes to their health logs. A request while the same check still waits gets its jobs.
#[utoipa::path(
    post, path = "/check-all", tag = "connections",
    params(WaitQuery, once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "All have ended within `wait`, or there is nothing to check", body = CheckAllJobs),
        (status = 202, body = CheckAllJobs),
        (status = 422, description = "The Idempotency-Key was used for another request", body = ProblemBody),
    ),
)]
pub async fn check_all(
    State(api): State<Api>,
    caller: Caller,
    Query(wait): Query<WaitQuery>,
    Body {
        value: Empty {},
        faults,
        once,
    }: Body<Empty>,
) -> Result<Response, Problem> {
    faults.with(Ok(()))?;
    let wait = Wait::of(&wait)?;
    let now = api.store.jobs().now().await?;
    let made = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => made,
        Turn::First(mut work) => {
            let new = batches(&api, &work.tx, &caller, now).await?;
            let enqueued = api.store.jobs().enqueue(&work.tx, new).await?;
            let told = &mut work.announcement;
            enqueued.iter().for_each(|job| told.enqueued(job));
            let jobs = enqueued.iter().map(|one| one.job().id).collect();
            work.end(Made::Jobs(jobs)).await?
        }
    };
    let waited = wait.for_ids(&api, caller.org, &made.into_jobs()).await?;
    Ok((waited.status(), Json(CheckAllJobs { jobs: waited.views })).into_response())
}

/// What the organization has to check, in batches of one provider.
async fn batches(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<NewJob>, Problem> {
    const CHECKED: [ConnectionStatus; 3] = [
        ConnectionStatus::Active,
        ConnectionStatus::Error,
        ConnectionStatus::Expired,
    ];
    let mut of_provider: BTreeMap<String, Vec<ConnectionId>> = BTreeMap::new();
    for (id, provider) in api.store.connection_keys(tx, caller.org, &CHECKED).await? {
        of_provider.entry(provider).or_default().push(id);
    }
    let asked_at = chrono::DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now);
    let mut jobs = Vec::new();
    for (provider, connections) in of_provider {
        for connections in connections.chunks(IN_A_BATCH) {
            // Ids are random enough that their sum tells sets of them apart.
            let sum = connections
                .iter()
                .fold(0_u128, |sum, id| sum.wrapping_add(id.0.as_u128()));
            let key = format!("{}:check_all:{sum:032x}", caller.org);
            let args = HealthBatchArgs {
                provider: provider.clone(),
                reason: CheckReason::Manual,
                asked_at,
                connections: connections.to_vec(),
            };
            jobs.push(NewJob {
                args: serde_json::to_value(args).expect("ids, names and times are JSON"),
                timeout: BATCH_TIMEOUT,
                dedupe_key: Some(key),
                ..caller.job(JobKind::HealthBatch, Queue::Maintenance)
            });
        }
    }
    Ok(jobs)
}
