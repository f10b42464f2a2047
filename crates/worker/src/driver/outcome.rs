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
    let JobError { next, failure } = match ended {
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
    let failure = run.log.scrub_failure(failure);
    retry::decide(
        &run.job,
        Err(JobError { next, failure }),
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
    let message = run.log.scrub_text(message);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use patchbay_core::{
        clock::SystemClock,
        entities::job::Model as Job,
        hints::MemoryHints,
        ids::JobId,
        job::{JobKind, JobState, Queue},
        secret::Secret,
        store::Store,
    };
    use serde_json::json;

    use super::*;

    async fn run() -> JobRun {
        let db = sea_orm::Database::connect("sqlite::memory:").await.unwrap();
        let store = Store::new(db, Arc::new(SystemClock));
        let now = SystemClock.now();
        let job = Job {
            id: JobId::new(&SystemClock),
            org_id: None,
            connection_id: None,
            kind: JobKind::Noop,
            queue: Queue::Sync,
            lane: None,
            args: json!({}),
            sealed: None,
            sealed_key: None,
            state: JobState::Running,
            run_at: now,
            attempt: 0,
            max_attempts: 4,
            crashes: 0,
            timeout_s: 60,
            lease_epoch: 1,
            leased_by: None,
            deadline: None,
            dedupe_key: None,
            again: false,
            progress: None,
            progress_no: 0,
            cursor: None,
            result: None,
            error: None,
            trace_context: None,
            requested_by: "test".into(),
            created_at: now,
            started_at: None,
            finished_at: None,
            discarded_at: None,
        };
        JobRun::new(job, store, Arc::new(MemoryHints::new()))
    }

    fn settled(run: &JobRun, ended: Ended) -> Settle {
        settle_for(run, ended, &Metrics::default(), &SystemClock)
    }

    fn answer(next: Next, message: &str) -> Ended {
        Ended::Answered(Err(JobError {
            next,
            failure: Failure::new(FailureKind::Invalid, message, "Look."),
        }))
    }

    #[tokio::test]
    async fn an_answer_and_a_panic_are_stored_without_the_secrets_of_the_run() {
        let run = run().await;
        run.log.hide(&Secret::new("hunter22"));
        let answered = settled(&run, answer(Next::Fail, "no hunter22 here"));
        let panicked = settled(&run, Ended::Panicked("at hunter22".to_owned()));
        let Settle::Fail { failure } = answered else {
            panic!("{answered:?}");
        };
        assert_eq!(failure.message, "no •••• here");
        let Settle::Retry { failure, .. } = panicked else {
            panic!("{panicked:?}");
        };
        assert_eq!(failure.message, "the job's code panicked: at ••••");
    }
}
