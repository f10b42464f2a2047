//! What a job wrote down.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::ids::JobId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::{
    access::Caller,
    extract::{Id, Query},
    pages::{self, List, Page},
    problem::{Problem, ProblemBody},
    state::Api,
};

/// One log line of a job, scrubbed of secrets.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// Its number within the job.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Which attempt wrote it, from 1.
    pub attempt: i32,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// What happened.
    pub message: String,
    /// Structured fields.
    #[schema(value_type = Object)]
    pub fields: Value,
}

/// Which lines to read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Entries of the page: 1 to 200, 50 if not said.
    pub limit: Option<u64>,
}

/// Log lines of a job, oldest first. The newest 1,000 are kept.
#[utoipa::path(
    get, path = "/jobs/{id}/logs", tag = "jobs", params(("id" = Uuid, Path, description = "The job"), LogsQuery),
    responses((status = 200, body = Page<LogLine>), (status = 404, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<JobId>,
    Query(query): Query<LogsQuery>,
) -> Result<Json<Page<LogLine>>, Problem> {
    let limit = pages::limit(query.limit)?;
    let after: i64 = pages::place(List::Logs, query.cursor.as_deref())?.unwrap_or(-1);
    find(&api, &caller, id).await?;
    let rows = api.store.job_logs_page(id, after, limit + 1).await?;
    Ok(Json(Page::of(
        List::Logs,
        rows,
        limit,
        |line| line.seq,
        |line| LogLine {
            seq: line.seq,
            at: line.at,
            attempt: line.attempt,
            level: line.level,
            message: line.message,
            fields: line.fields,
        },
    )))
}
