//! From how a run ended to what becomes of its job.

use patchbay_core::{
    clock::Clock,
    failure::{Failure, FailureKind},
    job::{JobError, Next, Settle},
};

use crate::{
    metrics::Metrics,
    run::{JobRun, StopReason, stopped_failure},
    supervise::Ended,
};

/// What becomes of the job.
pub(super) fn settle_for(run: &JobRun, ended: Ended, metrics: &Metrics, clock: &dyn Clock) -> Settle {
    let error = match ended {
        Ended::Answered(Ok(result)) => return Settle::Succeed { result },
        // A body that stopped at its deadline says "released", like after any other stop.
        Ended::Answered(Err(JobError { next: Next::Release, .. })) if run.stopped() == Some(StopReason::Deadline) => {
            past_deadline(metrics)
        }
        Ended::Answered(Err(error)) => error,
        Ended::Dropped(StopReason::Deadline) => past_deadline(metrics),
        // A lost lease finds no row to release; a shutdown does.
        Ended::Dropped(StopReason::Lost | StopReason::Shutdown) => {
            metrics.released.add(1);
            return Settle::Release;
        }
        Ended::Panicked(message) => panicked(run, &message, metrics),
    };
    decide(run, error, clock)
}

fn past_deadline(metrics: &Metrics) -> JobError {
    metrics.deadlines.add(1);
    JobError { next: Next::Retry { after: None }, failure: stopped_failure(StopReason::Deadline) }
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

fn decide(run: &JobRun, error: JobError, clock: &dyn Clock) -> Settle {
    let JobError { next, failure } = error;
    let attempts = run.job.attempt + 1;
    match next {
        Next::Retry { .. } if attempts >= run.job.max_attempts => Settle::Fail { failure },
        Next::Retry { after } => {
            let doubled = 5 * 2_u64.saturating_pow(u32::try_from(run.job.attempt).unwrap_or(0));
            Settle::Retry { delay: after.unwrap_or(std::time::Duration::from_secs(doubled.min(60))), failure }
        }
        Next::Fail => Settle::Fail { failure },
        Next::Snooze { until } => Settle::Snooze { delay: (until - clock.now()).to_std().unwrap_or_default(), failure },
        Next::Park { credential_version } => Settle::Park { credential_version, failure },
        Next::Release => Settle::Release,
    }
}
