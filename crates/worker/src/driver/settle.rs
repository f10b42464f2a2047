//! Step 7: ends leases in batches. A settlement is tried until the database takes it; one
//! that the database will never take must not hold up the others.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    events::EventKind,
    failure::{Failure, FailureKind},
    hints::Signal,
    ids::{ConnectionId, OrgId},
    job::{JobState, Settle, Settlement},
    store::{
        Store, StoreError,
        events::NewEvent,
        jobs::{Due, Settled},
    },
};
use serde_json::json;

use super::{
    answer::{StatementError, answered},
    fetch::turn_of,
};
use crate::{context::Context, jobs::cut_short, metrics::Metrics, run::JobRun};

/// Rows in one statement: enough that a statement's fixed cost does not show, short
/// enough that its locks do not.
pub(super) const BATCH: usize = 500;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A job due again this soon is hinted at once; later ones are topped up.
const SOON: Duration = Duration::from_millis(250);

/// Many lanes become free together; one look at the table serves them all.
const NEXT_OF_LANE: Duration = Duration::from_millis(20);

/// A run that ended and what is to become of its job.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) run: Arc<JobRun>,
    pub(super) settlement: Settlement,
    /// Its body gave no answer of its own.
    pub(super) cut_short: bool,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) settled: Vec<Settled>,
}

/// Settles the batch, however long the database is away.
pub(super) async fn settle(ctx: Context, metrics: Arc<Metrics>, endings: &[Ending]) -> Outcome {
    let store = &ctx.store;
    let (told, others): (Vec<&Ending>, Vec<&Ending>) = endings
        .iter()
        .partition(|ending| has_event(ending) || blamed(ending).is_some());
    let settlements: Vec<Settlement> = others
        .iter()
        .map(|ending| ending.settlement.clone())
        .collect();
    let mut outcome = match settle_patiently(store, &metrics, &settlements).await {
        Ok(settled) => Outcome { settled },
        Err(error) => {
            tracing::warn!(%error, jobs = settlements.len(), "a batch of jobs could not be settled; one by one now");
            settle_one_by_one(store, &metrics, settlements).await
        }
    };
    for ending in told {
        match tell_patiently(&ctx, &metrics, ending).await {
            Ok(settled) => outcome.settled.extend(settled),
            Err(error) => {
                tracing::warn!(%error, job = %ending.run.job.id, "what a job's failure comes to beside it could not be written");
                let one = settle_one_by_one(store, &metrics, vec![ending.settlement.clone()]).await;
                outcome.settled.extend(one.settled);
            }
        }
    }
    outcome
}

/// The end of an org's job that gave up stands in the activity log.
fn has_event(ending: &Ending) -> bool {
    matches!(ending.settlement.end, Settle::Fail { .. }) && ending.run.job.org_id.is_some()
}

/// The connection that a run without an answer of its body failed with, and how.
fn blamed(ending: &Ending) -> Option<(OrgId, ConnectionId, &Failure)> {
    let failure = match &ending.settlement.end {
        Settle::Fail { failure }
        | Settle::Retry { failure, .. }
        | Settle::Snooze { failure, .. } => failure,
        Settle::Succeed { .. } | Settle::Release | Settle::Park { .. } => return None,
    };
    let job = &ending.run.job;
    let (org, connection) = job.org_id.zip(job.connection_id)?;
    ending.cut_short.then_some((org, connection, failure))
}

async fn tell_patiently(
    ctx: &Context,
    metrics: &Metrics,
    ending: &Ending,
) -> Result<Option<Settled>, StatementError> {
    let mut pause = FIRST_RETRY;
    loop {
        match answered(settle_and_tell(ctx, ending)).await {
            Err(error) if error.is_transient() => {
                metrics.settles_failed.add(1);
                tracing::warn!(%error, job = %ending.run.job.id, "a failed job is not settled yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY);
            }
            settled => return settled,
        }
    }
}

/// State, event and what the connection remembers in one transaction; the connection's row
/// comes before the job's (docs/job-states.md).
async fn settle_and_tell(ctx: &Context, ending: &Ending) -> Result<Option<Settled>, StoreError> {
    let (store, job) = (&ctx.store, &ending.run.job);
    let tx = store.begin().await?;
    let mut blame = None;
    if let Some((org, connection, failure)) = blamed(ending) {
        let held = store.lock_connection(&tx, org, connection).await?;
        blame = held.map(|row| (row, failure));
    }
    let settled = store.jobs().settle_in(&tx, &ending.settlement).await?;
    if settled.is_none() {
        tx.rollback().await?;
        return Ok(None);
    }
    if let Some((row, failure)) = blame {
        // Seldom, and large.
        Box::pin(cut_short::count(ctx, &tx, &row, job.kind, failure)).await?;
    }
    if let (Some(org), Settle::Fail { failure }) = (job.org_id, &ending.settlement.end) {
        let data = json!({ "kind": job.kind, "error": failure.kind, "message": failure.message });
        let mut event = NewEvent::new(org, EventKind::JobFailed, "system")
            .job(job.id)
            .data(data);
        if let Some(connection) = job.connection_id {
            event = event.connection(connection);
        }
        store.record_event(&tx, event).await?;
    }
    tx.commit().await?;
    Ok(settled)
}

/// Retries what may pass; an error that will not pass comes back.
async fn settle_patiently(
    store: &Store,
    metrics: &Metrics,
    settlements: &[Settlement],
) -> Result<Vec<Settled>, StatementError> {
    if settlements.is_empty() {
        return Ok(Vec::new());
    }
    let mut pause = FIRST_RETRY;
    loop {
        match answered(store.jobs().settle(settlements)).await {
            Err(error) if error.is_transient() => {
                metrics.settles_failed.add(1);
                tracing::warn!(%error, jobs = settlements.len(), "jobs are not settled yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY);
            }
            settled => return settled,
        }
    }
}

async fn settle_one_by_one(
    store: &Store,
    metrics: &Metrics,
    settlements: Vec<Settlement>,
) -> Outcome {
    let mut outcome = Outcome::default();
    for settlement in settlements {
        let lease = settlement.lease;
        let error = match settle_patiently(store, metrics, &[settlement]).await {
            Ok(settled) => {
                outcome.settled.extend(settled);
                continue;
            }
            Err(error) => error,
        };
        metrics.settles_failed.add(1);
        let failure = Failure::new(
            FailureKind::Internal,
            format!("what the job answered could not be stored: {error}"),
            "Report it with the job's id.",
        );
        let failed = Settlement {
            lease,
            end: Settle::Fail { failure },
        };
        match settle_patiently(store, metrics, &[failed]).await {
            Ok(settled) => outcome.settled.extend(settled),
            // Its deadline frees it: the rescue takes back what is long overdue.
            Err(error) => {
                tracing::error!(%error, job = %lease.job, "a job can neither be ended nor failed")
            }
        }
    }
    outcome
}

/// What others should hear of a batch.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) due: Vec<Due>,
    pub(super) signals: Vec<Signal>,
    /// A lane, or the place for a suspect, became free: the hints of those that wait for it
    /// fell away when they did not qualify, so only the table leads to them. How soon it
    /// is looked at.
    pub(super) next_is_in_table: Option<Duration>,
}

/// Reads the news off a settled batch.
pub(super) fn news(endings: &[Ending], outcome: &Outcome) -> News {
    let mut news = News::default();
    let of_bodies = endings
        .iter()
        .filter_map(|ending| ending.run.settled_by_body());
    for settled in outcome.settled.iter().chain(of_bodies) {
        let Some(ending) = endings
            .iter()
            .find(|ending| ending.settlement.lease.job == settled.job)
        else {
            continue;
        };
        let turn = turn_of(&ending.run.job);
        if settled.state == JobState::Queued && due_soon(&ending.settlement.end) {
            news.due.push(Due {
                job: settled.job,
                turn,
            });
        }
        if let Some(successor) = settled.successor {
            news.due.push(Due {
                job: successor,
                turn,
            });
            news.signals
                .extend(signal(ending.run.job.org_id, successor));
        }
        news.signals
            .extend(signal(ending.run.job.org_id, settled.job));
        if let Some((org, connection, _)) = blamed(ending) {
            news.signals.push(Signal::Connection { org, connection });
        }
        let look = look_for_next(&ending.run);
        news.next_is_in_table = news.next_is_in_table.into_iter().chain(look).min();
    }
    news
}

fn look_for_next(run: &JobRun) -> Option<Duration> {
    if run.job.crashes > 0 {
        // One at a time in this process, so the looks are few and each pause adds up.
        Some(Duration::ZERO)
    } else {
        run.job.lane.is_some().then_some(NEXT_OF_LANE)
    }
}

fn signal(org: Option<OrgId>, job: patchbay_core::ids::JobId) -> Option<Signal> {
    org.map(|org| Signal::Job { org, job })
}

fn due_soon(end: &Settle) -> bool {
    match end {
        Settle::Retry { delay, .. } | Settle::Snooze { delay, .. } => *delay <= SOON,
        Settle::Release | Settle::Park { .. } => true,
        Settle::Succeed { .. } | Settle::Fail { .. } => false,
    }
}

/// Counts how the jobs of a settled batch ended, in the driver's statement or in a body's own.
pub(super) fn count(metrics: &Metrics, endings: &[Ending], settled: &[Settled]) {
    // A body's settlement whose transaction was rolled back is the driver's after all.
    let of_bodies: Vec<&Settled> = endings
        .iter()
        .filter_map(|ending| ending.run.settled_by_body())
        .filter(|body| !settled.iter().any(|one| one.job == body.job))
        .collect();
    let known = settled.len() + of_bodies.len();
    for one in settled.iter().chain(of_bodies) {
        match one.state {
            JobState::Succeeded => metrics.succeeded.add(1),
            JobState::Failed => metrics.failed.add(1),
            JobState::Queued => metrics.retried.add(1),
            JobState::Parked => metrics.parked.add(1),
            JobState::Running | JobState::Cancelled | JobState::Quarantined => {}
        }
    }
    metrics
        .settled_by_others
        .add(endings.len().saturating_sub(known));
}
