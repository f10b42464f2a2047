//! Runs one body to its end: answered, or dropped because it had to stop and did not.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
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
/// How long the last log lines may hold up the settlement, where the database is slow or away.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(5);

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
        // Caught here and not only by the layer outside: a panic asks for a retry, which the
        // org's policy decides about, as after any other failure.
        let body = AssertUnwindSafe(jobs::run(&run, &ctx).instrument(span)).catch_unwind();
        let body = Box::pin(body);
        tokio::select! {
            biased;
            answer = body => match answer {
                Ok(answer) => Ended::Answered(answer),
                Err(payload) => Ended::Panicked(last_words(&*payload)),
            },
            () = run.abandon.cancelled() => Ended::Dropped(run.stopped().unwrap_or(StopReason::Shutdown)),
            () = past_deadline(&run) => Ended::Dropped(StopReason::Deadline),
        }
    };
    // The body is gone; what follows is not its work and must not make it look deaf.
    drop(guard);
    let last_lines = async {
        if asks_for_a_retry(&run, &ended) {
            run.read_policy().await;
        }
        last_lines(&run, &ended).await;
    };
    if tokio::time::timeout(LAST_LINES_WITHIN, last_lines)
        .await
        .is_err()
    {
        tracing::warn!(job = %run.job.id, "the last log lines of the job were not kept: the database did not answer");
    }
    ended
}

/// What a panic said.
fn last_words(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without words".to_owned())
}

async fn last_lines(run: &JobRun, ended: &Ended) {
    if let Ended::Answered(Err(JobError { next, failure })) = ended
        && (*next != Next::Release || run.stopped().is_none())
    {
        let fields = json!({ "kind": failure.kind, "code": failure.code });
        run.log.warn(failure.message.clone(), fields).await;
    }
    run.log.flush().await;
}

/// Whether the policy of the job's org decides what becomes of it.
fn asks_for_a_retry(run: &JobRun, ended: &Ended) -> bool {
    match ended {
        Ended::Answered(Ok(_))
        | Ended::Dropped(StopReason::Lost | StopReason::Shutdown | StopReason::MakingRoom) => false,
        Ended::Answered(Err(JobError { next, .. })) => {
            matches!(next, Next::Retry { .. }) || run.stopped() == Some(StopReason::Deadline)
        }
        Ended::Dropped(StopReason::Deadline) | Ended::Panicked(_) => true,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_has_answered_runs_no_more_though_its_lines_wait_for_the_database() {
        let (run, ctx) = JobRun::on_memory(json!({ "fail": "a reason" })).await;
        let run = Arc::new(run);
        // The only connection of the pool.
        let held = ctx.store.begin().await.unwrap();
        let supervised = tokio::spawn(supervise(Arc::clone(&run), ctx, Arc::default()));
        let ended = async {
            while !run.has_ended() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LAST_LINES_WITHIN / 2, ended)
            .await
            .expect("ended while its lines wait");
        assert!(!supervised.is_finished(), "the lines still wait");
        held.rollback().await.unwrap();
        assert!(matches!(supervised.await.unwrap(), Ended::Answered(Err(_))));
    }
}
