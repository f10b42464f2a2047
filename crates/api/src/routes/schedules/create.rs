//! A new schedule of a connection.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    entities::connection,
    ids::ConnectionId,
    schedule::{Misfire, SchedulePull, Timing},
    store::schedules::{NewSchedule, OF_ONE_CONNECTION},
};
use patchbay_providers::{Manifest, Mode, Stream};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ScheduleView, show,
    timing::{self, Said},
};
use crate::{
    access::Caller,
    extract::{Body, Faults, Id},
    once::{self, Made, Turn},
    problem::{FieldError, Kind, Problem, ProblemBody, both},
    routes::connections,
    schemas,
    state::Api,
};

/// A schedule to be made: `every` or `cron`, not both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSchedule {
    /// Key of the stream.
    #[schema(min_length = 1, max_length = 64)]
    stream: String,
    /// How much each run pulls: what changed since the last sync (`incremental`, if not said),
    /// everything (`full`), or a span of time before the run.
    #[schema(schema_with = schemas::schedule_pull)]
    pull: Option<SchedulePull>,
    /// A run every so often: `15m`, `6h`, `1d`; from a minute to 31 days. Counted from
    /// 1970-01-01T00:00Z, so `1h` is once in every hour.
    #[schema(min_length = 1, max_length = 32)]
    every: Option<String>,
    /// A run when the clocks of `time_zone` show it: minute, hour, day of month, month, day of
    /// week, such as `30 2 * * 1-5`. Fixed times that the clock leaves out in spring run at the
    /// end of the gap, those that come twice in autumn run the first time; a pattern with `*`
    /// in minute or hour follows the clock as it shows.
    #[schema(min_length = 1, max_length = 200)]
    cron: Option<String>,
    /// A place of the IANA database, such as `Europe/Berlin`; `UTC` if not said.
    #[schema(min_length = 1, max_length = 64)]
    time_zone: Option<String>,
    /// What becomes of runs that no scheduler was there for within a minute: none runs
    /// (`skip`), the newest (`last`, if not said), or each with a job of its own, the newest
    /// 100 (`all`).
    #[schema(schema_with = schemas::misfire)]
    misfire: Option<Misfire>,
}

/// Makes a schedule. Its first run is the first of `next`.
#[utoipa::path(
    post, path = "/connections/{id}/schedules", tag = "schedules",
    params(("id" = Uuid, Path, description = "The connection"), once::Header),
    request_body = CreateSchedule,
    responses(
        (status = 201, body = ScheduleView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "The connection is disconnected, or has 100 schedules", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Body {
        value: body,
        faults,
        once,
    }: Body<CreateSchedule>,
) -> Result<Response, Problem> {
    let now = api.store.jobs().now().await?;
    let made = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => made,
        Turn::First(work) => {
            let row = connections::hold_connected(&api, &work.tx, &caller, id).await?;
            let manifest = connections::tested::manifest_of(&api, &row)?;
            let (stream, timing) = wanted(&body, faults, manifest, &row)?;
            if api.store.count_schedules(&work.tx, id).await? >= OF_ONE_CONNECTION {
                return Err(Problem::new(
                    Kind::ConnectionState,
                    format!(
                        "The connection has {OF_ONE_CONNECTION} schedules, the most that one may have. Delete or change one of them."
                    ),
                ));
            }
            let new = NewSchedule {
                org: caller.org,
                connection: id,
                stream: stream.key.clone(),
                capability: stream.capability.clone(),
                pull: body.pull.unwrap_or(SchedulePull::Incremental),
                timing,
                misfire: body.misfire.unwrap_or(Misfire::Last),
                created_by: caller.actor(),
            };
            let made = api.store.insert_schedule(&work.tx, new, now).await?.id;
            work.end(Made::Schedule(made)).await?
        }
    };
    let Made::Schedule(schedule) = made else {
        return Err(Problem::internal(&"a repeated create finds no schedule"));
    };
    let view: ScheduleView = show(&api, &caller, schedule).await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

fn wanted<'a>(
    body: &CreateSchedule,
    faults: Faults,
    manifest: &'a Manifest,
    row: &connection::Model,
) -> Result<(&'a Stream, Timing), Problem> {
    let said = Said {
        every: body.every.as_deref(),
        cron: body.cron.as_deref(),
        time_zone: body.time_zone.as_deref(),
    };
    let timing = timing::read(said, &faults).and_then(|timing| {
        let message = "is required, unless `cron` is given";
        timing.ok_or_else(|| {
            if faults.touch("/cron") || faults.touch("/every") {
                return Vec::new();
            }
            vec![FieldError::at("/every", message)]
        })
    });
    // How much a pull that is not known asks for, nobody can say.
    let pull = (!faults.touch("/pull")).then(|| body.pull.unwrap_or(SchedulePull::Incremental));
    let off = connections::capabilities_off(row);
    faults.with(both(stream_of(manifest, &body.stream, pull, &off), timing))
}

/// The stream, if it can be pulled so.
pub fn stream_of<'a>(
    manifest: &'a Manifest,
    key: &str,
    pull: Option<SchedulePull>,
    off: &[String],
) -> Result<&'a Stream, Vec<FieldError>> {
    let Some(stream) = manifest.stream(key) else {
        let known: Vec<&str> = manifest
            .streams
            .iter()
            .map(|stream| stream.key.as_str())
            .collect();
        let message = format!(
            "is no stream of {}; there are: {}",
            manifest.label,
            known.join(", ")
        );
        return Err(vec![FieldError::at("/stream", message)]);
    };
    if off.contains(&stream.capability) {
        let message = format!(
            "is switched off for this connection (capability {})",
            stream.capability
        );
        return Err(vec![FieldError::at("/stream", message)]);
    }
    let mode = pull.map(|pull| match pull {
        SchedulePull::Incremental => Mode::Incremental,
        SchedulePull::Full => Mode::Full,
        SchedulePull::Last24h | SchedulePull::Last7Days => Mode::Range,
    });
    match mode {
        Some(mode) if !stream.modes.contains(&mode) => {
            let message = format!("is not known to the stream `{key}`");
            Err(vec![FieldError::at("/pull", message)])
        }
        _ => Ok(stream),
    }
}
