//! Runs one body to its end: answered, or dropped because it had to stop and did not.

use std::{sync::Arc, time::Duration};

use patchbay_core::job::{JobError, Next};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{
    context::Context,
    jobs,
    metrics::Metrics,
    run::{JobRun, StopReason},
};

/// How long a body may take to stop by itself after its deadline.
const TIDY_UP_AFTER_DEADLINE: Duration = Duration::from_secs(2);

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The body answered.
    Answered(Result<Value, JobError>),
    /// The body was asked to stop and was dropped where it stood, or never began.
    Dropped(StopReason),
    /// The body panicked.
    Panicked(String),
}

/// Runs the body. Its own deadline is kept here; other reasons to stop come from outside.
pub(crate) async fn supervise(run: Arc<JobRun>, ctx: Context, metrics: Arc<Metrics>) -> Ended {
    let guard = EndedGuard(&run);
    if let Some(reason) = run.stopped() {
        return Ended::Dropped(reason);
    }
    metrics.bodies_begun.add(1);
    let span = tracing::info_span!("job", id = %run.job.id, kind = ?run.job.kind, attempt = run.job.attempt + 1);
    let ended = {
        let body = Box::pin(jobs::run(&run, &ctx).instrument(span));
        tokio::select! {
            biased;
            answer = body => Ended::Answered(answer),
            () = run.abandon.cancelled() => Ended::Dropped(run.stopped().unwrap_or(StopReason::Shutdown)),
            () = past_deadline(&run) => Ended::Dropped(StopReason::Deadline),
        }
    };
    if let Ended::Answered(Err(JobError { next, failure })) = &ended
        && *next != Next::Release
    {
        let fields = json!({ "kind": failure.kind, "code": failure.code });
        run.log.warn(failure.message.clone(), fields).await;
    }
    run.log.flush().await;
    drop(guard);
    ended
}

/// Marks the run as ended also when its body panics.
struct EndedGuard<'a>(&'a JobRun);

impl Drop for EndedGuard<'_> {
    fn drop(&mut self) {
        self.0.set_ended();
    }
}

async fn past_deadline(run: &JobRun) {
    tokio::time::sleep_until(run.ends_by.into()).await;
    run.stop_for(StopReason::Deadline);
    tokio::time::sleep(TIDY_UP_AFTER_DEADLINE).await;
}
