//! From how a run ended to what becomes of its job.

use patchbay_core::{
    clock::Clock,
    failure::{Failure, FailureKind},
    job::{JobError, Next, Settle},
    retry::{self, RetryPolicy},
};

use crate::{
    metrics::Metrics,
    run::{JobRun, StopReason, stopped_failure},
    supervise::Ended,
};

/// What becomes of the job.
pub(super) fn settle_for(
    run: &JobRun,
    ended: Ended,
    metrics: &Metrics,
    clock: &dyn Clock,
) -> Settle {
    let error = match ended {
        Ended::Answered(Ok(result)) => return Settle::Succeed { result },
        // A body that stopped at its deadline says "released", like after any other stop.
        Ended::Answered(Err(JobError {
            next: Next::Release,
            ..
        })) if run.stopped() == Some(StopReason::Deadline) => past_deadline(metrics),
        Ended::Answered(Err(error)) => error,
        Ended::Dropped(StopReason::Deadline) => past_deadline(metrics),
        // A lost lease finds no row to release; a shutdown does.
        Ended::Dropped(StopReason::Lost | StopReason::Shutdown) => {
            metrics.released.add(1);
            return Settle::Release;
        }
        Ended::Panicked(message) => panicked(run, &message, metrics),
    };
    retry::decide(
        &run.job,
        Err(error),
        &RetryPolicy::default(),
        clock.now(),
        rand::random(),
    )
}

fn past_deadline(metrics: &Metrics) -> JobError {
    metrics.deadlines.add(1);
    JobError {
        next: Next::Retry { after: None },
        failure: stopped_failure(StopReason::Deadline),
    }
}

fn panicked(run: &JobRun, message: &str, metrics: &Metrics) -> JobError {
    metrics.panics.add(1);
    tracing::error!(job = %run.job.id, kind = ?run.job.kind, message, "a job's body panicked");
    JobError {
        next: Next::Retry { after: None },
        failure: Failure::new(
            FailureKind::Internal,
            format!("the job's code panicked: {message}"),
            "Report it with the job's id; it is tried again.",
        ),
    }
}
