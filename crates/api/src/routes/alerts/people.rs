//! What people do with an alert: acknowledge, silence; also with one that is resolved, which
//! may come back.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{entities::alert, ids::AlertId};
use sea_orm::DatabaseTransaction;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{AlertView, show};
use crate::{
    access::Caller,
    extract::{Body, Id},
    once::{self, Made, Turn},
    problem::{FieldError, Problem, ProblemBody},
    routes::Empty,
    state::Api,
};

/// The longest that an alert may be silent.
const LONGEST: TimeDelta = TimeDelta::days(365);

/// For how long an alert is to be silent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceAlert {
    /// Until when, at most a year ahead; null: it is no longer silent.
    until: Option<DateTime<Utc>>,
}

/// Takes notice of an alert. Whoever was first stays named.
#[utoipa::path(
    post, path = "/alerts/{id}/acknowledge", tag = "overview",
    params(("id" = Uuid, Path, description = "The alert"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "Acknowledged; also if it was before", body = AlertView),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn acknowledge(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<AlertId>,
    body: Body<Empty>,
) -> Result<Json<AlertView>, Problem> {
    body.faults.with(Ok(()))?;
    if let Turn::First(mut work) = once::begin(&api, &caller, &body.once).await? {
        let alert = hold(&api, &work.tx, &caller, id).await?;
        api.store
            .acknowledge_alert(&work.tx, &alert, &caller.actor())
            .await?;
        work.announcement.alert(caller.org, id);
        work.end(Made::Alert(id)).await?;
    }
    Ok(Json(show(&api, &caller, id).await?))
}

/// Silences an alert until a time, or ends its silence.
#[utoipa::path(
    post, path = "/alerts/{id}/silence", tag = "overview",
    params(("id" = Uuid, Path, description = "The alert"), once::Header),
    request_body = SilenceAlert,
    responses(
        (status = 200, body = AlertView),
        (status = 404, body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn silence(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<AlertId>,
    Body {
        value: body,
        faults,
        once,
    }: Body<SilenceAlert>,
) -> Result<Json<AlertView>, Problem> {
    if let Turn::First(mut work) = once::begin(&api, &caller, &once).await? {
        faults.with(possible(body.until, api.store.clock().now()))?;
        let alert = hold(&api, &work.tx, &caller, id).await?;
        if alert.silenced_until != body.until {
            api.store
                .silence_alert(&work.tx, &alert, body.until, &caller.actor())
                .await?;
        }
        work.announcement.alert(caller.org, id);
        work.end(Made::Alert(id)).await?;
    }
    Ok(Json(show(&api, &caller, id).await?))
}

/// Whether an alert may be silent until then.
fn possible(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), Vec<FieldError>> {
    let wrong = match until {
        Some(until) if until <= now => "must be in the future",
        Some(until) if until - now > LONGEST => "must be at most a year ahead",
        Some(_) | None => return Ok(()),
    };
    Err(vec![FieldError::at("/until", wrong)])
}

/// The alert in the caller's org, its row held until the transaction ends.
async fn hold(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    id: AlertId,
) -> Result<alert::Model, Problem> {
    let row = api.store.lock_alert(tx, caller.org, id).await?;
    row.ok_or_else(|| Problem::not_found("alert"))
}
