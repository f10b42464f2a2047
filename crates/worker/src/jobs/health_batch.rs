//! Asks many connections of one provider whether they work, a few at once, and writes what
//! came of it many at once. A batch whose worker died is run again: what was written then is
//! not asked again, because the connection was checked since the batch was asked for.

use std::{collections::VecDeque, pin::pin, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, StreamExt, stream};
use patchbay_core::{
    entities::connection_health,
    failure::{Failure, FailureKind},
    health::Verdict,
    ids::{ConnectionId, OrgId},
    job::{JobError, Next},
    job_args::{CheckReason, HealthBatchArgs},
    progress::Progress,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    checking::{self, Asked, Outcome},
    opening::args,
};
use crate::{context::Context, run::JobRun};

/// Connections asked at one time. Each is an account of its own, with limits of its own.
const AT_ONCE: usize = 32;
/// A batch whose provider is silent begins this much later, while another one waits for it.
const PUT_OFF: TimeDelta = TimeDelta::seconds(15);
/// Outcomes wait no longer than this to be written with others.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);
const WRITTEN_AT: usize = 100;

/// The body of `health_batch`.
///
/// # Errors
/// The database, or a lost lease; or it is put off, because another batch waits for the
/// silence of the same provider.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: HealthBatchArgs = args(run)?;
    let _batch = match args.reason {
        CheckReason::Scheduled => {
            let begun = ctx.silence.begin(run.job.id, &args.provider);
            Some(begun.ok_or_else(|| put_off(ctx, &args.provider))?)
        }
        CheckReason::Manual | CheckReason::Auto => None,
    };
    let began = (ctx.store.jobs().now().await?, Instant::now());
    let states = ctx.store.check_states(&args.connections).await?;
    let wanted: Vec<_> = states
        .into_iter()
        .filter(|state| is_wanted(run, &args, state))
        .map(|state| (state.org_id, state.connection_id))
        .collect();
    let mut count = Count::of(wanted.len(), args.connections.len());
    let unasked = Box::pin(ask_all(run, ctx, (args.reason, began), wanted, &mut count)).await?;
    // The few that were asked may have shown that the host is back.
    let (mut unheard, mut again) = (Vec::new(), Vec::new());
    for outcome in unasked {
        if outcome.is_held(ctx).await {
            unheard.push(outcome);
        } else {
            again.push((outcome.result.org, outcome.result.connection));
        }
    }
    let unasked = Box::pin(ask_all(run, ctx, (args.reason, began), again, &mut count)).await?;
    unheard.extend(unasked);
    count.write(run, ctx, &mut unheard).await?;
    run.signal().await;
    Ok(count.told())
}

/// Asks all and writes what came of it, but for those that were not asked.
async fn ask_all(
    run: &JobRun,
    ctx: &Context,
    (reason, began): (CheckReason, (DateTime<Utc>, Instant)),
    subjects: Vec<(OrgId, ConnectionId)>,
    count: &mut Count,
) -> Result<Vec<Outcome>, JobError> {
    let mut asking = stream::iter(subjects)
        .map(|subject| {
            let at = began.0 + TimeDelta::from_std(began.1.elapsed()).unwrap_or_default();
            checking::ask(run, ctx, subject, reason, at)
        })
        .buffer_unordered(AT_ONCE);
    let (mut waiting, mut unasked) = (Vec::new(), Vec::new());
    let mut arrived = VecDeque::new();
    let mut write_at = None;
    loop {
        let next = async {
            match arrived.pop_front() {
                Some(asked) => Some(asked),
                None => asking.next().await,
            }
        };
        let asked = tokio::select! {
            biased;
            () = when(write_at) => {
                let write = Box::pin(count.write(run, ctx, &mut waiting));
                meanwhile(&mut asking, &mut arrived, write).await?;
                write_at = None;
                continue;
            }
            asked = next => asked,
        };
        match asked {
            Some(Ok(Asked::Outcome(outcome))) if outcome.unasked => unasked.push(*outcome),
            Some(Ok(Asked::Outcome(outcome))) => {
                waiting.push(*outcome);
                write_at.get_or_insert_with(|| Instant::now() + WRITTEN_WITHIN);
                if waiting.len() >= WRITTEN_AT {
                    let write = Box::pin(count.write(run, ctx, &mut waiting));
                    meanwhile(&mut asking, &mut arrived, write).await?;
                    write_at = None;
                }
            }
            Some(Ok(Asked::Skipped(_))) => count.skipped += 1,
            // What is known already is worth keeping; if that fails too, nothing is lost.
            Some(Err(error)) => {
                drop(asking);
                count.write(run, ctx, &mut waiting).await?;
                return Err(error);
            }
            None => break,
        }
    }
    drop(asking);
    count.write(run, ctx, &mut waiting).await?;
    Ok(unasked)
}

/// Goes on asking while something is written. A check that stood still would keep the
/// connection to the database that it holds at that moment, and a few of them all there are:
/// the write would wait for what only they can give back.
async fn meanwhile<A, T>(
    asking: &mut (impl Stream<Item = A> + Unpin),
    arrived: &mut VecDeque<A>,
    write: impl Future<Output = T>,
) -> T {
    let mut write = pin!(write);
    loop {
        tokio::select! {
            written = &mut write => return written,
            Some(asked) = asking.next() => arrived.push_back(asked),
        }
    }
}

fn put_off(ctx: &Context, provider: &str) -> JobError {
    JobError {
        next: Next::Snooze {
            until: ctx.clock.now() + PUT_OFF,
        },
        failure: Failure::new(
            FailureKind::ProviderDown,
            format!(
                "The provider `{provider}` does not answer checks; another batch waits for it."
            ),
            "Nothing: its connections are checked in turn.",
        ),
    }
}

async fn when(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whether this job is the one to check it: in the job's org, not checked since it was
/// asked for, and of the clock's jobs the latest (an older one was held up).
fn is_wanted(run: &JobRun, args: &HealthBatchArgs, state: &connection_health::Model) -> bool {
    let in_org = run.job.org_id.is_none_or(|org| org == state.org_id);
    let done = state.last_checked_at.is_some_and(|at| at >= args.asked_at);
    let latest = match args.reason {
        CheckReason::Scheduled => state.asked_at == Some(args.asked_at),
        CheckReason::Manual | CheckReason::Auto => true,
    };
    in_org && latest && !done
}

/// What the batch came to.
struct Count {
    wanted: usize,
    skipped: usize,
    passed: usize,
    failed: usize,
    undecided: usize,
    /// Of those that failed: not asked, because their host is left alone.
    unasked: usize,
}

impl Count {
    fn of(wanted: usize, listed: usize) -> Self {
        Self {
            wanted,
            skipped: listed.saturating_sub(wanted),
            passed: 0,
            failed: 0,
            undecided: 0,
            unasked: 0,
        }
    }

    async fn write(
        &mut self,
        run: &JobRun,
        ctx: &Context,
        waiting: &mut Vec<Outcome>,
    ) -> Result<(), JobError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let outcomes = std::mem::take(waiting);
        for outcome in &outcomes {
            self.unasked += usize::from(outcome.unasked);
            let failure = outcome.result.failure.as_ref();
            match Verdict::of(failure.map(|failure| failure.kind)) {
                Verdict::Passed => self.passed += 1,
                Verdict::Failed => self.failed += 1,
                Verdict::Undecided => self.undecided += 1,
            }
        }
        checking::write(run, ctx, outcomes, Some(&self.progress())).await
    }

    fn progress(&self) -> Progress {
        let counts = [
            ("passed", self.passed),
            ("failed", self.failed),
            ("undecided", self.undecided),
            ("unasked", self.unasked),
        ];
        Progress {
            stage: "asking providers".into(),
            done: (self.passed + self.failed + self.undecided) as u64,
            total: Some(self.wanted as u64),
            unit: "connections".into(),
            rate: None,
            counts: counts
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count as u64))
                .collect(),
        }
    }

    fn told(&self) -> Value {
        json!({
            "passed": self.passed, "failed": self.failed, "undecided": self.undecided,
            "unasked": self.unasked, "skipped": self.skipped,
        })
    }
}
