//! How a connection has been doing.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{connection::Health, entities::health_check, ids::ConnectionId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ConnectionView, find};
use crate::{
    access::Caller,
    extract::Id,
    problem::{Problem, ProblemBody},
    schemas,
    state::Api,
};

/// Checks that the numbers are made from.
const CHECKS: u64 = 100;
/// Checks that are listed.
const LISTED: usize = 20;

/// Health of a connection over its last checks (100 at most).
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionHealth {
    /// As shown in lists.
    #[schema(schema_with = schemas::health)]
    health: Health,
    /// Checks that the numbers are made from.
    checks: usize,
    /// Share of them that passed, 0 to 1; null without checks.
    uptime: Option<f64>,
    /// Share of them that failed, 0 to 1; null without checks.
    error_rate: Option<f64>,
    /// Answer times of those that passed, in milliseconds.
    latency: Option<Latency>,
    /// The connection, with its last failure.
    connection: ConnectionView,
    /// The last checks, newest first, 20 at most.
    recent: Vec<CheckView>,
}

/// Answer times in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
struct Latency {
    p50_ms: i32,
    p95_ms: i32,
    max_ms: i32,
}

/// One check.
#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    /// When.
    at: DateTime<Utc>,
    /// `manual`, `scheduled` or `auto`.
    kind: String,
    /// Whether it passed.
    ok: bool,
    /// How long the provider took, in milliseconds.
    response_ms: i32,
    /// Class of the failure.
    error_kind: Option<String>,
    /// The failure in words.
    message: Option<String>,
}

/// Uptime, latency and recent errors of a connection.
#[utoipa::path(
    get, path = "/connections/{id}/health", tag = "connections", params(("id" = Uuid, Path, description = "The connection")),
    responses((status = 200, body = ConnectionHealth), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
) -> Result<Json<ConnectionHealth>, Problem> {
    let row = find(&api, &caller, id).await?;
    let checks = api.store.health_checks(caller.org, id, CHECKS).await?;
    let passed = checks.iter().filter(|check| check.ok).count();
    let share = |count: usize| (!checks.is_empty()).then(|| count as f64 / checks.len() as f64);
    Ok(Json(ConnectionHealth {
        health: row.health,
        checks: checks.len(),
        uptime: share(passed),
        error_rate: share(checks.len() - passed),
        latency: latency(&checks),
        connection: row.into(),
        recent: checks
            .into_iter()
            .take(LISTED)
            .map(CheckView::from)
            .collect(),
    }))
}

fn latency(checks: &[health_check::Model]) -> Option<Latency> {
    let mut times: Vec<i32> = checks
        .iter()
        .filter(|check| check.ok)
        .map(|check| check.response_ms)
        .collect();
    times.sort_unstable();
    let max_ms = *times.last()?;
    // Nearest rank: the smallest time that is not below the share.
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    Some(Latency {
        p50_ms: at(50),
        p95_ms: at(95),
        max_ms,
    })
}

impl From<health_check::Model> for CheckView {
    fn from(row: health_check::Model) -> Self {
        Self {
            at: row.at,
            kind: row.kind,
            ok: row.ok,
            response_ms: row.response_ms,
            error_kind: row.error_kind,
            message: row.message,
        }
    }
}
