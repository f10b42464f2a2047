//! Schedules: what they are, one, and the lists. What changes them is in a file per verb.

pub mod change;
pub mod create;
pub mod run;
pub mod switch;
mod timing;

use std::collections::HashMap;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    connection::ConnectionStatus,
    entities::schedule,
    ids::{ConnectionId, JobId, ScheduleId},
    schedule::{Misfire, Period, SchedulePull, TickOutcome, blocked},
    store::schedules::{ScheduleFilter, Standing},
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::connections;
use crate::{
    access::Caller,
    extract::{Id, Query},
    pages::{self, List, Page},
    problem::{Problem, ProblemBody},
    schemas,
    state::Api,
};

/// Next times that an answer shows.
const SHOWN: usize = 5;

/// When the clock asks for a sync of one stream of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleView {
    /// The schedule.
    #[schema(value_type = Uuid)]
    id: ScheduleId,
    /// What it syncs.
    #[schema(value_type = Uuid)]
    connection_id: ConnectionId,
    /// Key of the stream.
    stream: String,
    /// How much each run pulls.
    #[schema(schema_with = schemas::schedule_pull)]
    pull: SchedulePull,
    /// The time from one run to the next, such as `15m`; null with `cron`.
    every: Option<String>,
    /// The cron pattern; null with `every`.
    cron: Option<String>,
    /// The place whose clocks the pattern means.
    time_zone: Option<String>,
    /// What becomes of runs that no scheduler was there for.
    #[schema(schema_with = schemas::misfire)]
    misfire: Misfire,
    /// Whether it runs.
    state: ScheduleState,
    /// Why it does not run now, or why its runs wait; null where all is well.
    note: Option<&'static str>,
    /// Seconds by which each run is later than its nominal time, so that not all
    /// organizations sync in the same second. Always the same for a connection.
    jitter_seconds: i64,
    /// The next five runs; none while it is paused.
    next: Vec<DateTime<Utc>>,
    /// What became of the last tick.
    last: Option<LastTick>,
    /// When it was paused.
    paused_at: Option<DateTime<Utc>>,
    /// Who made it.
    created_by: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When a person last changed it.
    updated_at: DateTime<Utc>,
}

/// Whether a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// It runs at its times.
    Active,
    /// A person stopped it.
    Paused,
    /// Its times pass without a run until the connection, or the stream's capability, is
    /// switched on.
    Held,
    /// The calendar has no next time for it.
    Ended,
}

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastTick {
    /// Its nominal time.
    tick: DateTime<Utc>,
    /// `made` a job; `merged` with one that waited; `again`: the running one runs once more;
    /// `held` or `skipped`: no job.
    #[schema(schema_with = schemas::tick_outcome)]
    outcome: TickOutcome,
    /// The job that does, or did, its work. It may be gone after its retention.
    #[schema(value_type = Option<Uuid>)]
    job_id: Option<JobId>,
    /// When a scheduler dealt with it.
    at: Option<DateTime<Utc>>,
}

impl ScheduleView {
    fn of(row: schedule::Model, standing: Option<&Standing>) -> Self {
        let timing = row.timing();
        let held = standing.and_then(|now| blocked(&row, now.status, &now.capabilities_off));
        let state = match (&row, &held) {
            (row, _) if row.paused_at.is_some() => ScheduleState::Paused,
            (row, _) if row.next_at.is_none() => ScheduleState::Ended,
            (_, Some(_)) => ScheduleState::Held,
            (_, None) => ScheduleState::Active,
        };
        let note = match held {
            Some(held) => Some(held.words()),
            None => standing.and_then(|standing| waits(standing.status)),
        };
        Self {
            next: row.upcoming(SHOWN),
            jitter_seconds: timing.map_or(0, |timing| row.jitter(&timing).num_seconds()),
            every: row
                .every_s
                .and_then(Period::of_seconds)
                .map(|period| period.to_string()),
            last: row
                .last_tick
                .zip(row.last_outcome)
                .map(|(tick, outcome)| LastTick {
                    tick,
                    outcome,
                    job_id: outcome.has_job().then_some(row.last_job_id).flatten(),
                    at: row.last_at,
                }),
            id: row.id,
            connection_id: row.connection_id,
            stream: row.stream,
            pull: row.pull,
            cron: row.cron,
            time_zone: row.time_zone,
            misfire: row.misfire,
            state,
            note,
            paused_at: row.paused_at,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A broken connection gets one job, which waits.
fn waits(status: ConnectionStatus) -> Option<&'static str> {
    match status {
        ConnectionStatus::Error | ConnectionStatus::Expired => Some(
            "The connection needs a new credential: one sync waits (parked) until it has one, and later runs merge with it.",
        ),
        ConnectionStatus::Pending
        | ConnectionStatus::Active
        | ConnectionStatus::Disabled
        | ConnectionStatus::Disconnected => None,
    }
}

/// Which schedules to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SchedulesQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries of the page: 1 to 200, 50 if not said.
    limit: Option<u64>,
}

/// Lists the organization's schedules, oldest first, each with its next times.
#[utoipa::path(
    get, path = "/schedules", tag = "schedules", params(SchedulesQuery),
    responses((status = 200, body = Page<ScheduleView>), (status = 400, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<SchedulesQuery>,
) -> Result<Json<Page<ScheduleView>>, Problem> {
    page(&api, &caller, None, query).await
}

/// Lists the schedules of a connection, oldest first.
#[utoipa::path(
    get, path = "/connections/{id}/schedules", tag = "schedules",
    params(("id" = Uuid, Path, description = "The connection"), SchedulesQuery),
    responses(
        (status = 200, body = Page<ScheduleView>),
        (status = 400, body = ProblemBody),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn of_connection(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(query): Query<SchedulesQuery>,
) -> Result<Json<Page<ScheduleView>>, Problem> {
    connections::find(&api, &caller, id).await?;
    page(&api, &caller, Some(id), query).await
}

async fn page(
    api: &Api,
    caller: &Caller,
    connection: Option<ConnectionId>,
    query: SchedulesQuery,
) -> Result<Json<Page<ScheduleView>>, Problem> {
    let limit = pages::limit(query.limit)?;
    let filter = ScheduleFilter {
        connection,
        after: pages::place(List::Schedules, query.cursor.as_deref())?,
    };
    let rows = api.store.schedules(caller.org, &filter, limit + 1).await?;
    let ids = rows.iter().map(|row| row.connection_id);
    let standings: HashMap<ConnectionId, Standing> =
        api.store.standings(api.store.db(), ids).await?;
    Ok(Json(Page::of(
        List::Schedules,
        rows,
        limit,
        |row| row.id,
        |row| {
            let standing = standings.get(&row.connection_id);
            ScheduleView::of(row, standing)
        },
    )))
}

/// One schedule, with its next times.
#[utoipa::path(
    get, path = "/schedules/{id}", tag = "schedules", params(("id" = Uuid, Path, description = "The schedule")),
    responses((status = 200, body = ScheduleView), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ScheduleId>,
) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(show(&api, &caller, id).await?))
}

/// The schedule as it is now.
async fn show(api: &Api, caller: &Caller, id: ScheduleId) -> Result<ScheduleView, Problem> {
    let row = find(api, caller, id).await?;
    let db = api.store.db();
    let standings = api.store.standings(db, [row.connection_id]).await?;
    let standing = standings.get(&row.connection_id);
    Ok(ScheduleView::of(row, standing))
}

/// The schedule in the caller's org.
async fn find(api: &Api, caller: &Caller, id: ScheduleId) -> Result<schedule::Model, Problem> {
    let row = api.store.schedule(api.store.db(), caller.org, id).await?;
    row.ok_or_else(|| Problem::not_found("schedule"))
}

/// The same, its row held until the transaction ends.
async fn hold(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    id: ScheduleId,
) -> Result<schedule::Model, Problem> {
    let row = api.store.lock_schedule(tx, caller.org, id).await?;
    row.ok_or_else(|| Problem::not_found("schedule"))
}
