//! Lets a fault test enqueue no-op jobs through the API: authorised, once per key, in one
//! transaction, hinted after the commit, like the product's own work.
//!
//! In debug builds only, and in no document: a release binary has no such route.

use std::time::Duration;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use patchbay_core::job::{Enqueued, JobKind, NewJob, Queue};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    extract::Body,
    once::{self, Made, Turn},
    problem::Problem,
    state::Api,
};

/// Under the base.
pub const PATH: &str = "/drills";

/// Jobs to enqueue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drills {
    jobs: Vec<Drill>,
}

/// One of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Drill {
    /// Arguments of the no-op job.
    args: Value,
    #[serde(default)]
    delay_ms: u64,
    lane: Option<String>,
    dedupe_key: Option<String>,
    max_attempts: Option<i32>,
    timeout_s: Option<u64>,
}

pub fn router() -> Router<Api> {
    Router::new().route(&format!("{}{PATH}", crate::access::BASE), post(enqueue))
}

async fn enqueue(
    State(api): State<Api>,
    caller: Caller,
    Body {
        value: body,
        faults,
        once,
    }: Body<Drills>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    faults.with(Ok(()))?;
    let (made, outcomes) = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => (made, Vec::new()),
        Turn::First(mut work) => {
            let new = body.jobs.into_iter().map(|drill| job(&caller, drill));
            let enqueued = api.store.jobs().enqueue(&work.tx, new.collect()).await?;
            let told = &mut work.announcement;
            enqueued.iter().for_each(|job| told.enqueued(job));
            let jobs = enqueued.iter().map(|one| one.job().id).collect();
            let outcomes = enqueued.iter().map(outcome).collect();
            (work.end(Made::Jobs(jobs)).await?, outcomes)
        }
    };
    let ids = made.into_jobs();
    let answer = json!({ "jobs": ids, "outcomes": outcomes });
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn job(caller: &Caller, drill: Drill) -> NewJob {
    let mut job = caller.job(JobKind::Noop, Queue::Sync);
    job.args = drill.args;
    job.delay = Duration::from_millis(drill.delay_ms);
    job.lane = drill.lane.map(|lane| format!("{}:{lane}", caller.org));
    job.dedupe_key = drill.dedupe_key.map(|key| format!("{}:{key}", caller.org));
    job.max_attempts = drill.max_attempts.unwrap_or(job.max_attempts);
    job.timeout = drill.timeout_s.map_or(job.timeout, Duration::from_secs);
    job
}

fn outcome(enqueued: &Enqueued) -> &'static str {
    match enqueued {
        Enqueued::New(_) => "new",
        Enqueued::Waiting(_) => "waiting",
        Enqueued::Again(_) => "again",
    }
}
