//! From when on something is an alert.

use std::time::Duration;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{alerts::Limits, store::alerts::SetLimits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    extract::Body,
    problem::{Problem, ProblemBody},
    state::Api,
};

/// From when on something is an alert, and how often the organization is told of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertLimits)]
pub struct LimitsView {
    /// Failures of work with a connection in a row. Checks that find it failing count as three.
    failures_in_a_row: u16,
    /// How long a tick of a schedule has waited.
    schedule_lag_seconds: u64,
    /// How long a job that is due has waited for a worker.
    queue_age_seconds: u64,
    /// The quiet period: a cause that comes back within it opens the same alert again, and of one
    /// alert there is no second message within it.
    quiet_seconds: u64,
    /// When a person last set them; null: the usual ones.
    updated_at: Option<DateTime<Utc>>,
    /// Who did.
    updated_by: Option<String>,
}

impl From<Option<SetLimits>> for LimitsView {
    fn from(set: Option<SetLimits>) -> Self {
        let (limits, updated_at, updated_by) = match set {
            Some(set) => (set.limits, Some(set.updated_at), Some(set.updated_by)),
            None => (Limits::default(), None, None),
        };
        Self {
            failures_in_a_row: limits.failures_in_a_row,
            schedule_lag_seconds: limits.schedule_lag.as_secs(),
            queue_age_seconds: limits.queue_age.as_secs(),
            quiet_seconds: limits.quiet.as_secs(),
            updated_at,
            updated_by,
        }
    }
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetAlertLimits)]
pub struct SetLimitsBody {
    /// Failures of work with a connection in a row.
    #[schema(minimum = 1, maximum = 100)]
    failures_in_a_row: Option<u16>,
    /// How long a tick of a schedule has waited: a minute to a week.
    #[schema(minimum = 60, maximum = 604800)]
    schedule_lag_seconds: Option<u32>,
    /// How long a job that is due has waited for a worker: a minute to a week.
    #[schema(minimum = 60, maximum = 604800)]
    queue_age_seconds: Option<u32>,
    /// The quiet period: a minute to a week.
    #[schema(minimum = 60, maximum = 604800)]
    quiet_seconds: Option<u32>,
}

impl SetLimitsBody {
    fn over(&self, before: Limits) -> Limits {
        let time = |said: Option<u32>, before| {
            said.map_or(before, |seconds| Duration::from_secs(u64::from(seconds)))
        };
        Limits {
            failures_in_a_row: self.failures_in_a_row.unwrap_or(before.failures_in_a_row),
            schedule_lag: time(self.schedule_lag_seconds, before.schedule_lag),
            queue_age: time(self.queue_age_seconds, before.queue_age),
            quiet: time(self.quiet_seconds, before.quiet),
        }
    }
}

/// From when on something is an alert.
#[utoipa::path(
    get, path = "/alert-limits", tag = "overview",
    responses((status = 200, body = LimitsView)),
)]
pub async fn read(State(api): State<Api>, caller: Caller) -> Result<Json<LimitsView>, Problem> {
    show(&api, &caller).await
}

/// Changes from when on something is an alert. The next look, within seconds, goes by it: what is
/// an alert now and is none by the new limits resolves by itself.
#[utoipa::path(
    put, path = "/alert-limits", tag = "overview",
    request_body = SetLimitsBody,
    responses(
        (status = 200, body = LimitsView),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Body {
        value: body,
        faults,
        once: _,
    }: Body<SetLimitsBody>,
) -> Result<Json<LimitsView>, Problem> {
    faults.with(Ok(()))?;
    let tx = api.store.begin().await?;
    api.store.lock_org(&tx, caller.org).await?;
    let before = api.store.alert_limits(&tx, caller.org).await?;
    let before = before.map_or_else(Limits::default, |set| set.limits);
    api.store
        .set_alert_limits(&tx, caller.org, body.over(before), &caller.actor())
        .await?;
    tx.commit().await?;
    show(&api, &caller).await
}

async fn show(api: &Api, caller: &Caller) -> Result<Json<LimitsView>, Problem> {
    let set = api.store.alert_limits(api.store.db(), caller.org).await?;
    Ok(Json(set.into()))
}
