//! A sync: one job per stream.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    connection::ConnectionStatus,
    entities::connection,
    events::EventKind,
    ids::{ConnectionId, JobId},
    job::{JobKind, NewJob, Queue},
    store::events::NewEvent,
};
use patchbay_providers::{Manifest, Mode, PullMode, Stream, SyncArgs};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    capabilities_off, disconnected, hold,
    sync_range::{Preset, Span, span},
    tested,
};
use crate::{
    access::Caller,
    extract::{Body, Faults, Id, Query},
    once::{self, Made, Turn, Work},
    problem::{FieldError, Kind, Problem, ProblemBody, both},
    routes::jobs::JobView,
    state::Api,
    wait::{Wait, WaitQuery},
};

/// What to sync.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// Keys of the streams; all that are switched on and know the mode if not said.
    #[schema(min_items = 1, max_items = 100)]
    streams: Option<Vec<String>>,
    /// How much: what changed since the last sync (`incremental`, if not said), a span of time
    /// (`range`), or everything, so that what is gone is marked deleted (`full`).
    mode: Option<SyncMode>,
    /// Begin of a `range`: RFC 3339, or a date, which means the begin of that day in the time
    /// zone of each of the seller's locations.
    #[schema(max_length = 64)]
    from: Option<String>,
    /// End of a `range`: RFC 3339 (exclusive), or a date, which means the end of that day in the
    /// time zone of each of the seller's locations. Now if not said.
    #[schema(max_length = 64)]
    to: Option<String>,
    /// A `range` that ends now, instead of `from` and `to`.
    preset: Option<Preset>,
}

/// How much of a stream a sync asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// What changed since the stream's cursor; everything at the first time.
    #[default]
    Incremental,
    /// What the provider dates within the span.
    Range,
    /// Everything.
    Full,
}

/// The jobs of a sync.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncJobs {
    /// One per stream. `parked`: it waits until the connection works again.
    jobs: Vec<JobView>,
}

/// Syncs streams, each with a job of its own. A request for the same work that still waits gets
/// that job; while it runs, it will run once more. While the connection is in `error` or
/// `expired` the jobs are `parked` and go on when it works again.
#[utoipa::path(
    post, path = "/connections/{id}/sync", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), WaitQuery, once::Header),
    request_body(content = Option<SyncRequest>),
    responses(
        (status = 200, description = "All have ended within `wait`", body = SyncJobs),
        (status = 202, body = SyncJobs),
        (status = 404, body = ProblemBody),
        (status = 409, description = "The connection is pending, disabled or disconnected, or has not granted the scopes of a stream", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn sync(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once,
    }: Body<SyncRequest>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let made = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => made,
        Turn::First(mut work) => {
            let row = hold(&api, &work.tx, &caller, id).await?;
            let manifest = tested::manifest_of(&api, &row)?;
            let wanted = Wanted::of(&body, faults, manifest, &row, api.store.clock().now())?;
            let parks = refuse_or_park(&row)?;
            let granted = granted(&api, &work.tx, &row).await?;
            let wanted = wanted.within(granted.as_deref(), body.streams.is_some(), manifest)?;
            let jobs = start(&api, &mut work, id, wanted.jobs(&caller, id), parks).await?;
            let event = NewEvent::new(caller.org, EventKind::SyncRequested, caller.actor())
                .connection(id)
                .data(wanted.told());
            api.store.record_event(&work.tx, event).await?;
            work.end(Made::Jobs(jobs)).await?
        }
    };
    let waited = wait.for_ids(&api, caller.org, &made.into_jobs()).await?;
    Ok((waited.status(), Json(SyncJobs { jobs: waited.views })).into_response())
}

/// Enqueues jobs for a connection; they are parked where they wait for a working credential.
pub(in crate::routes) async fn start(
    api: &Api,
    work: &mut Work<'_>,
    connection: ConnectionId,
    jobs: Vec<NewJob>,
    parks: bool,
) -> Result<Vec<JobId>, Problem> {
    let enqueued = api.store.jobs().enqueue(&work.tx, jobs).await?;
    if parks {
        api.store.jobs().park_queued(&work.tx, connection).await?;
    }
    for one in &enqueued {
        match parks {
            true => work
                .announcement
                .look_at_job(one.job().org_id, one.job().id),
            false => work.announcement.enqueued(one),
        }
    }
    Ok(enqueued.iter().map(|one| one.job().id).collect())
}

/// Whether the jobs wait for a working credential.
pub(super) fn refuse_or_park(row: &connection::Model) -> Result<bool, Problem> {
    let refused = |detail: &str| Err(Problem::new(Kind::ConnectionState, detail));
    match row.status {
        ConnectionStatus::Active => Ok(false),
        ConnectionStatus::Error | ConnectionStatus::Expired => Ok(true),
        ConnectionStatus::Pending => refused(
            "The connection is pending: its credential has not passed a test yet, so nothing can be synced. \
             Wait for the test's job, or send another credential: PUT .../credential.",
        ),
        ConnectionStatus::Disabled => refused(
            "The connection is disabled, so nothing was started. Switch it on first: POST .../enable.",
        ),
        ConnectionStatus::Disconnected => Err(disconnected()),
    }
}

/// What the account granted; `None` where a person gave the credential, or nothing is said of it.
pub(super) async fn granted(
    api: &Api,
    tx: &DatabaseTransaction,
    row: &connection::Model,
) -> Result<Option<Vec<String>>, Problem> {
    let credential = api.store.current_credential(tx, row.org_id, row.id).await?;
    let scopes = credential.and_then(|credential| credential.scopes);
    Ok(scopes.and_then(|scopes| serde_json::from_value(scopes).ok()))
}

/// A request that fits the manifest.
struct Wanted<'a> {
    streams: Vec<&'a Stream>,
    pull: PullMode,
    /// Mode and span, for the dedupe key.
    name: String,
}

impl<'a> Wanted<'a> {
    fn of(
        body: &SyncRequest,
        faults: Faults,
        manifest: &'a Manifest,
        row: &connection::Model,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Self, Problem> {
        let mode = body.mode.unwrap_or_default();
        // What a mode that is not known asks of the span, nobody can say.
        let span = if faults.touch("/mode") {
            Ok(None)
        } else {
            span_of(body, mode, now)
        };
        let streams = streams(body, manifest, &capabilities_off(row), mode);
        let (span, streams) = faults.with(both(span, streams))?;
        let (pull, name) = match (mode, span) {
            (SyncMode::Full, _) => (PullMode::Full, "full".to_owned()),
            (SyncMode::Range, Some(span)) => (
                PullMode::Range {
                    from: span.from,
                    to: span.to,
                },
                format!("range:{}", span.name),
            ),
            (SyncMode::Incremental | SyncMode::Range, _) => {
                (PullMode::Incremental, "incremental".to_owned())
            }
        };
        Ok(Self {
            streams,
            pull,
            name,
        })
    }

    /// Without the streams whose scopes were not granted; a request that names one is refused.
    fn within(
        mut self,
        granted: Option<&[String]>,
        is_named: bool,
        manifest: &Manifest,
    ) -> Result<Self, Problem> {
        let Some(granted) = granted else {
            return Ok(self);
        };
        let is_granted = |scope: &&String| granted.contains(scope);
        let (able, lacking): (Vec<&Stream>, Vec<&Stream>) = self
            .streams
            .into_iter()
            .partition(|stream| stream.scopes.iter().all(|scope| is_granted(&scope)));
        if !lacking.is_empty() && (is_named || able.is_empty()) {
            let lacks = lacking.iter().map(|stream| {
                let missing = stream.scopes.iter().filter(|scope| !is_granted(scope));
                let missing: Vec<&str> = missing.map(String::as_str).collect();
                format!("`{}` needs {}", stream.key, missing.join(" and "))
            });
            let detail = format!(
                "The account did not grant what this needs: {}. Connect it again (POST authorize/{}) and grant that.",
                lacks.collect::<Vec<_>>().join("; "),
                manifest.key
            );
            return Err(Problem::new(Kind::ScopeMissing, detail));
        }
        self.streams = able;
        Ok(self)
    }

    fn jobs(&self, caller: &Caller, connection: ConnectionId) -> Vec<NewJob> {
        let job = |stream: &&Stream| NewJob {
            connection: Some(connection),
            lane: Some(format!("{connection}:{}", stream.key)),
            args: args(stream, &self.pull),
            dedupe_key: Some(format!("{connection}:{}:{}", stream.key, self.name)),
            ..caller.job(JobKind::Sync, Queue::Sync)
        };
        self.streams.iter().map(job).collect()
    }

    fn told(&self) -> Value {
        let streams: Vec<&str> = self
            .streams
            .iter()
            .map(|stream| stream.key.as_str())
            .collect();
        json!({ "streams": streams, "pull": self.pull })
    }
}

fn args(stream: &Stream, pull: &PullMode) -> Value {
    let args = SyncArgs {
        stream: stream.key.clone(),
        pull: pull.clone(),
    };
    serde_json::to_value(args).expect("texts and times are JSON")
}

fn span_of(
    body: &SyncRequest,
    mode: SyncMode,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Option<Span>, Vec<FieldError>> {
    if mode == SyncMode::Range {
        return span(now, body.preset, body.from.as_deref(), body.to.as_deref()).map(Some);
    }
    let given = [
        ("/from", body.from.is_some()),
        ("/to", body.to.is_some()),
        ("/preset", body.preset.is_some()),
    ];
    let errors: Vec<FieldError> = given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(pointer, _)| {
            FieldError::at(pointer, "goes only together with `\"mode\": \"range\"`")
        })
        .collect();
    if errors.is_empty() {
        Ok(None)
    } else {
        Err(errors)
    }
}

fn streams<'a>(
    body: &SyncRequest,
    manifest: &'a Manifest,
    off: &[String],
    mode: SyncMode,
) -> Result<Vec<&'a Stream>, Vec<FieldError>> {
    let mode = match mode {
        SyncMode::Incremental => Mode::Incremental,
        SyncMode::Range => Mode::Range,
        SyncMode::Full => Mode::Full,
    };
    let is_on = |stream: &Stream| !off.contains(&stream.capability);
    let Some(keys) = &body.streams else {
        let all: Vec<&Stream> = manifest
            .streams
            .iter()
            .filter(|stream| is_on(stream) && stream.modes.contains(&mode))
            .collect();
        if all.is_empty() {
            let message = "no stream of this connection is switched on and knows this mode";
            return Err(vec![FieldError::at("/streams", message)]);
        }
        return Ok(all);
    };
    let known: Vec<&str> = manifest
        .streams
        .iter()
        .map(|stream| stream.key.as_str())
        .collect();
    let mut wanted: Vec<&Stream> = Vec::new();
    let mut errors = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let message = match manifest.stream(key) {
            None => format!(
                "is no stream of {}; there are: {}",
                manifest.label,
                known.join(", ")
            ),
            Some(stream) if !is_on(stream) => {
                format!(
                    "is switched off for this connection (capability {})",
                    stream.capability
                )
            }
            Some(stream) if !stream.modes.contains(&mode) => "does not know this mode".into(),
            Some(stream) => {
                if !wanted.iter().any(|already| already.key == stream.key) {
                    wanted.push(stream);
                }
                continue;
            }
        };
        errors.push(FieldError::at(format!("/streams/{index}"), message));
    }
    if errors.is_empty() {
        Ok(wanted)
    } else {
        Err(errors)
    }
}
