//! Where a sync run stands: kept in the job's `cursor` column with every commit,
//! so that any process can go on from there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use patchbay_core::{
    failure::FailureKind,
    job::JobError,
    progress::Progress,
    store::records::{Sighting, Upserted},
};
use patchbay_providers::{Pull, PullMode, SyncArgs};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    context::Context,
    jobs::opening::{Opened, fail},
    run::JobRun,
};

/// Counts by what happened to a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    created: u64,
    updated: u64,
    unchanged: u64,
    pub(super) deleted: u64,
}

impl Counts {
    pub(super) fn add(&mut self, more: Upserted) {
        self.created += more.created;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.deleted += more.deleted;
    }

    pub(super) fn by_name(self) -> BTreeMap<String, u64> {
        [
            ("created", self.created),
            ("updated", self.updated),
            ("unchanged", self.unchanged),
            ("deleted", self.deleted),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into()
    }
}

/// A place may expire while a job waits; a provider that forgets more often than this
/// forgets every place.
const MOST_RESTARTS: u32 = 3;

/// The state of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunState {
    /// Of the records this run sees.
    pub(super) generation: i64,
    /// Whether it sees every living record.
    pub(super) complete: bool,
    /// When it began, by the clock that all workers share: the end of open ranges, the same
    /// after a crash.
    started_at: DateTime<Utc>,
    /// The stream's cursor when it began.
    cursor: Option<Value>,
    /// Where the provider goes on.
    pub(super) position: Option<Value>,
    /// How often the provider had forgotten that place.
    #[serde(default)]
    restarts: u32,
    /// Every page is in.
    pub(super) pulled: bool,
    /// The stream's cursor once it has ended.
    pub(super) new_cursor: Option<Value>,
    /// Records seen and committed.
    pub(super) done: u64,
    /// Records in all, where the provider tells.
    pub(super) total: Option<u64>,
    pub(super) counts: Counts,
    /// What the stream counts, as its manifest says.
    #[serde(skip)]
    unit: String,
    #[serde(skip, default = "Pace::new")]
    pace: Pace,
}

/// Goes on where the last attempt committed, or begins a run.
pub(super) async fn load_or_begin(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    args: &SyncArgs,
    unit: String,
) -> Result<RunState, JobError> {
    if let Some(saved) = run.job.cursor.clone() {
        let mut state: RunState = serde_json::from_value(saved).map_err(|error| {
            fail(
                FailureKind::Internal,
                format!("where this sync stood cannot be read: {error}"),
                "Ask for the sync again; it begins from the stream's cursor.",
            )
        })?;
        state.unit = unit;
        run.log
            .info("going on after a break", json!({ "records": state.done }))
            .await;
        return Ok(state);
    }
    let tx = run.begin_fenced().await?;
    let generation = ctx
        .store
        .begin_generation(&tx, opened.row.org_id, opened.row.id, &args.stream)
        .await?;
    let before = ctx
        .store
        .stream_state(&tx, opened.row.id, &args.stream)
        .await?;
    let state = RunState {
        generation,
        complete: true,
        started_at: ctx.store.jobs().now().await?,
        cursor: before.and_then(|state| state.cursor),
        position: None,
        restarts: 0,
        pulled: false,
        new_cursor: None,
        done: 0,
        total: None,
        counts: Counts::default(),
        unit,
        pace: Pace::new(),
    };
    state.checkpoint(run, &tx, "connecting").await?;
    tx.commit().await?;
    run.signal().await;
    Ok(state)
}

impl RunState {
    /// The request for the page at `position`.
    pub(super) fn pull(&self, args: &SyncArgs, position: Option<Value>) -> Pull {
        // A full run begins from nothing, whatever the stream's cursor says.
        let cursor = match args.pull {
            PullMode::Full => None,
            PullMode::Incremental | PullMode::Range { .. } => self.cursor.clone(),
        };
        Pull {
            stream: args.stream.clone(),
            mode: args.pull.clone(),
            cursor,
            position,
            started_at: self.started_at,
        }
    }

    pub(super) fn sighting(&self, opened: &Opened, args: &SyncArgs) -> Sighting {
        Sighting {
            org: opened.row.org_id,
            connection: opened.row.id,
            stream: args.stream.clone(),
            generation: self.generation,
            complete: self.complete,
        }
    }

    /// Writes progress and state into the job, in the caller's fenced transaction.
    pub(super) async fn checkpoint(
        &self,
        run: &JobRun,
        tx: &DatabaseTransaction,
        stage: &str,
    ) -> Result<(), JobError> {
        let progress = Progress {
            stage: stage.to_owned(),
            done: self.done,
            total: self.total.map(|total| total.max(self.done)),
            unit: self.unit.clone(),
            rate: self.pace.rate(),
            counts: self.counts.by_name(),
        };
        let saved = serde_json::to_value(self).map_err(|error| {
            fail(
                FailureKind::Internal,
                format!("where this sync stands cannot be written: {error}"),
                "Report it with the job's id.",
            )
        })?;
        run.checkpoint(tx, &progress, Some(&saved)).await?;
        Ok(())
    }

    /// Forgets where the provider stood, if there is a place to forget and this is not a
    /// habit. What comes again changes nothing.
    pub(super) fn begin_anew(&mut self) -> bool {
        if self.position.is_none() || self.restarts >= MOST_RESTARTS {
            return false;
        }
        self.position = None;
        self.restarts += 1;
        true
    }

    /// Records that were just committed.
    pub(super) fn advance(&mut self, records: u64) {
        self.done += records;
        self.pace.add(records);
    }
}

/// Records a second, smoothed over about the last ten seconds.
#[derive(Debug)]
struct Pace {
    since: Instant,
    rate: Option<f64>,
    pending: u64,
}

impl Pace {
    /// Shorter windows only show the noise of single commits.
    const WINDOW_S: f64 = 1.0;

    fn new() -> Self {
        Self {
            since: Instant::now(),
            rate: None,
            pending: 0,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate for people; counts stay far below 2^52"
    )]
    fn add(&mut self, records: u64) {
        self.pending += records;
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds < Self::WINDOW_S {
            return;
        }
        let now = self.pending as f64 / seconds;
        self.rate = Some(self.rate.map_or(now, |before| before * 0.8 + now * 0.2));
        self.since = Instant::now();
        self.pending = 0;
    }

    fn rate(&self) -> Option<f64> {
        self.rate.map(f64::round)
    }
}
