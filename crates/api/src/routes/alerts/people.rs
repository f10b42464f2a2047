//! What people do with an alert: acknowledge, silence. Both may be said again without
//! further effect, so neither needs an `Idempotency-Key`; and of one that is resolved, which may
//! come back.

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
    problem::{FieldError, Problem, ProblemBody},
    routes::Empty,
    state::{Announcement, Api},
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
    params(("id" = Uuid, Path, description = "The alert")),
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
    let tx = api.store.begin().await?;
    let alert = hold(&api, &tx, &caller, id).await?;
    api.store
        .acknowledge_alert(&tx, &alert, &caller.actor())
        .await?;
    tx.commit().await?;
    tell(&api, &caller, id);
    Ok(Json(show(&api, &caller, id).await?))
}

/// Silences an alert until a time, or ends its silence.
#[utoipa::path(
    post, path = "/alerts/{id}/silence", tag = "overview",
    params(("id" = Uuid, Path, description = "The alert")),
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
        once: _,
    }: Body<SilenceAlert>,
) -> Result<Json<AlertView>, Problem> {
    let now = api.store.clock().now();
    faults.with(match body.until {
        Some(until) if until <= now => Err(vec![FieldError::at("/until", "must be in the future")]),
        Some(until) if until - now > LONGEST => Err(vec![FieldError::at(
            "/until",
            "must be at most a year ahead",
        )]),
        Some(_) | None => Ok(()),
    })?;
    let tx = api.store.begin().await?;
    let alert = hold(&api, &tx, &caller, id).await?;
    if alert.silenced_until != body.until {
        api.store
            .silence_alert(&tx, &alert, body.until, &caller.actor())
            .await?;
    }
    tx.commit().await?;
    tell(&api, &caller, id);
    Ok(Json(show(&api, &caller, id).await?))
}

/// After the commit: who watches the org looks.
fn tell(api: &Api, caller: &Caller, id: AlertId) {
    let mut announcement = Announcement::default();
    announcement.alert(caller.org, id);
    api.announce(announcement);
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
