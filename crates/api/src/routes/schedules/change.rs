//! Changes of a schedule, and its end.

use axum::{Json, extract::State, http::StatusCode};
use patchbay_core::{
    ids::ScheduleId,
    schedule::{Misfire, SchedulePull},
    store::schedules::ScheduleChange,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ScheduleView,
    create::stream_of,
    hold, show,
    timing::{self, Said},
};
use crate::{
    access::Caller,
    extract::{Body, Id},
    problem::{Problem, ProblemBody, both},
    routes::connections,
    schemas,
    state::Api,
};

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSchedule {
    /// How much each run pulls.
    #[schema(schema_with = schemas::schedule_pull)]
    pull: Option<SchedulePull>,
    /// A run every so often, in place of what was there.
    #[schema(min_length = 1, max_length = 32)]
    every: Option<String>,
    /// A cron pattern, in place of what was there.
    #[schema(min_length = 1, max_length = 200)]
    cron: Option<String>,
    /// The place whose clocks the pattern means; alone, that of the pattern in force.
    #[schema(min_length = 1, max_length = 64)]
    time_zone: Option<String>,
    /// What becomes of runs that no scheduler was there for.
    #[schema(schema_with = schemas::misfire)]
    misfire: Option<Misfire>,
}

/// Changes a schedule. With another timing, its next run is the first of the new `next`.
#[utoipa::path(
    patch, path = "/schedules/{id}", tag = "schedules", params(("id" = Uuid, Path, description = "The schedule")),
    request_body = ChangeSchedule,
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn change(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ScheduleId>,
    Body {
        value: body,
        faults,
        once: _,
    }: Body<ChangeSchedule>,
) -> Result<Json<ScheduleView>, Problem> {
    let now = api.store.jobs().now().await?;
    let tx = api.store.begin().await?;
    let row = hold(&api, &tx, &caller, id).await?;
    let connection = api
        .store
        .connection(&tx, caller.org, row.connection_id)
        .await?
        .ok_or_else(|| Problem::not_found("connection"))?;
    let manifest = connections::tested::manifest_of(&api, &connection)?;
    let zone_alone = body.time_zone.is_some() && body.every.is_none() && body.cron.is_none();
    let said = Said {
        every: body.every.as_deref(),
        // The pattern stays where only the place changes, the place where only the pattern does.
        cron: match zone_alone {
            true => row.cron.as_deref(),
            false => body.cron.as_deref(),
        },
        time_zone: match (&body.cron, &body.time_zone) {
            (Some(_), None) => row.time_zone.as_deref(),
            (_, said) => said.as_deref(),
        },
    };
    let timing = timing::read(said, &faults);
    // Capabilities may be off by now; that holds a schedule, and is no fault of this change.
    let pull = body.pull.map_or(Ok(()), |pull| {
        stream_of(manifest, &row.stream, Some(pull), &[]).map(drop)
    });
    let (timing, ()) = faults.with(both(timing, pull))?;
    let change = ScheduleChange {
        pull: body.pull,
        timing,
        misfire: body.misfire,
    };
    if change.pull.is_some() || change.timing.is_some() || change.misfire.is_some() {
        api.store
            .change_schedule(&tx, row, change, &caller.actor(), now)
            .await?;
    }
    tx.commit().await?;
    Ok(Json(show(&api, &caller, id).await?))
}

/// Deletes a schedule. Jobs that it made go on.
#[utoipa::path(
    delete, path = "/schedules/{id}", tag = "schedules", params(("id" = Uuid, Path, description = "The schedule")),
    responses((status = 204), (status = 404, body = ProblemBody)),
)]
pub async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ScheduleId>,
) -> Result<StatusCode, Problem> {
    let tx = api.store.begin().await?;
    let row = hold(&api, &tx, &caller, id).await?;
    api.store
        .delete_schedule(&tx, &row, &caller.actor())
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
