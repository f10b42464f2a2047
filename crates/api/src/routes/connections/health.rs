//! How a connection has been doing.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    connection::Health,
    entities::health_check,
    failure::{Failure, FailureKind},
    health::{tally::Tally, window::Window},
    ids::ConnectionId,
    store::health::{Recent, Stretch},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ConnectionView, find};
use crate::{
    access::Caller,
    extract::{Id, Query},
    problem::{FieldError, Problem, ProblemBody},
    routes::jobs::FailureView,
    schemas,
    state::Api,
};

/// Checks that are listed.
const LISTED: usize = 20;
/// Failed checks that are listed.
const ERRORS: u64 = 20;

/// Over which time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// `1h` (the last sixty minutes, from the last 100 checks), `24h`, `7d` or `30d` (the present
    /// hour and the full hours before it); `24h` if not said.
    #[param(schema_with = schemas::window)]
    window: Option<String>,
}

/// Health of a connection over a window of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionHealth {
    /// As shown in lists.
    #[schema(schema_with = schemas::health)]
    health: Health,
    /// `1h`, `24h`, `7d` or `30d`.
    #[schema(schema_with = schemas::window)]
    window: &'static str,
    /// When the window begins.
    from: DateTime<Utc>,
    /// When it ends: now.
    to: DateTime<Utc>,
    #[serde(flatten)]
    numbers: Numbers,
    /// The same hour by hour, oldest first, without the hours that have no check; empty for `1h`.
    hours: Vec<HourView>,
    /// The last failed checks within the window, newest first, 20 at most.
    errors: Vec<ErrorView>,
    /// The last checks of all, newest first, 20 at most.
    recent: Vec<CheckView>,
    /// When it is checked next; null while it is pending, disabled or disconnected.
    next_check_at: Option<DateTime<Utc>>,
    /// The connection, with its last failure.
    connection: ConnectionView,
}

/// What checks came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthNumbers)]
struct Numbers {
    /// Checks that passed or failed. A refusal for haste counts neither way.
    checks: u32,
    /// Of these, failed.
    failed: u32,
    /// Share of the time that it worked, 0 to 1; each check stands for the time since the one
    /// before it. Null without checks.
    uptime: Option<f64>,
    /// Share of the checks that failed, 0 to 1; null without checks.
    error_rate: Option<f64>,
    /// Response times of the checks that passed, in milliseconds; null without any.
    latency: Option<Latency>,
}

/// Response times in milliseconds. Percentiles are off by a sixteenth at most.
#[derive(Debug, Serialize, ToSchema)]
struct Latency {
    p50_ms: u32,
    p95_ms: u32,
    max_ms: u32,
}

/// One hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthHour)]
struct HourView {
    /// When it begins.
    from: DateTime<Utc>,
    #[serde(flatten)]
    numbers: Numbers,
}

/// A check that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthError)]
struct ErrorView {
    /// When.
    at: DateTime<Utc>,
    /// `manual`, `scheduled` or `auto`.
    kind: String,
    /// How long the provider took, in milliseconds.
    response_ms: i32,
    /// What went wrong and what to do.
    failure: FailureView,
    /// The health shown after it.
    #[schema(schema_with = schemas::health)]
    health: Option<Health>,
}

/// One check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthCheck)]
struct CheckView {
    /// When, to the second.
    at: DateTime<Utc>,
    /// `manual`, `scheduled` or `auto`.
    kind: &'static str,
    /// Whether it passed.
    ok: bool,
    /// How long the provider took, in milliseconds.
    response_ms: u32,
    /// Class of the failure.
    #[schema(schema_with = schemas::failure_kind)]
    error_kind: Option<FailureKind>,
}

/// Uptime, response times, error rate and recent errors of a connection.
#[utoipa::path(
    get, path = "/connections/{id}/health", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), HealthQuery),
    responses(
        (status = 200, body = ConnectionHealth),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(query): Query<HealthQuery>,
) -> Result<Json<ConnectionHealth>, Problem> {
    let window = window(query.window.as_deref())?;
    let row = find(&api, &caller, id).await?;
    let picture = api.store.health_picture(&row, window).await?;
    let errors = api
        .store
        .failed_checks(caller.org, id, picture.from, ERRORS)
        .await?;
    let manifest = api
        .providers
        .get(&row.provider)
        .map(|provider| provider.manifest());
    let impact = manifest.map(|manifest| manifest.impact.as_str());
    Ok(Json(ConnectionHealth {
        health: row.shown_health(),
        window: window.name(),
        from: picture.from,
        to: picture.to,
        numbers: (&picture.tally).into(),
        hours: picture.hours.iter().map(HourView::from).collect(),
        errors: errors
            .into_iter()
            .filter_map(|line| error_view(line, impact))
            .collect(),
        recent: picture
            .last
            .into_iter()
            .take(LISTED)
            .map(CheckView::from)
            .collect(),
        next_check_at: picture.next_check_at,
        connection: row.into(),
    }))
}

fn window(name: Option<&str>) -> Result<Window, Problem> {
    match name {
        None => Ok(Window::Day),
        Some(name) => Window::of_name(name).ok_or_else(|| {
            let known: Vec<&str> = Window::ALL.iter().map(|window| window.name()).collect();
            let message = format!("must be one of {}", known.join(", "));
            Problem::query(vec![FieldError::parameter("window", message)])
        }),
    }
}

/// A line that an older version wrote has a class and words only.
fn error_view(line: health_check::Model, impact: Option<&str>) -> Option<ErrorView> {
    let stored = line
        .failure
        .and_then(|stored| serde_json::from_value::<Failure>(stored).ok());
    let mut failure = stored.or_else(|| {
        let kind = FailureKind::ALL
            .into_iter()
            .find(|kind| Some(kind.name()) == line.error_kind.as_deref())?;
        Some(Failure::new(kind, line.message.unwrap_or_default(), ""))
    })?;
    failure.impact = failure.impact.or_else(|| impact.map(str::to_owned));
    Some(ErrorView {
        at: line.at,
        kind: line.kind,
        response_ms: line.response_ms,
        failure: failure.into(),
        health: line.health,
    })
}

impl From<&Tally> for Numbers {
    fn from(tally: &Tally) -> Self {
        let latency = tally
            .latency
            .percentile(50)
            .zip(tally.latency.percentile(95));
        Self {
            checks: tally.checks,
            failed: tally.failed,
            uptime: tally.uptime(),
            error_rate: tally.error_rate(),
            latency: latency.map(|(p50_ms, p95_ms)| Latency {
                // The middle of a bucket may lie above the longest time in it.
                p50_ms: p50_ms.min(tally.longest_ms),
                p95_ms: p95_ms.min(tally.longest_ms),
                max_ms: tally.longest_ms,
            }),
        }
    }
}

impl From<&Stretch> for HourView {
    fn from(hour: &Stretch) -> Self {
        Self {
            from: hour.from,
            numbers: (&hour.tally).into(),
        }
    }
}

impl From<Recent> for CheckView {
    fn from(check: Recent) -> Self {
        Self {
            at: check.at,
            kind: check.reason.name(),
            ok: check.failure.is_none(),
            response_ms: check.response_ms,
            error_kind: check.failure,
        }
    }
}
