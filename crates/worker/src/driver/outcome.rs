//! From how a run ended to what becomes of its job.

use std::time::Duration;

use patchbay_core::{
    clock::Clock,
    failure::{Failure, FailureKind},
    job::{JobError, Next, Settle},
    retry::{self, RetryPolicy},
};
use rand::RngExt;

use crate::{
    metrics::Metrics,
    run::{JobRun, StopReason, stopped_failure},
    supervise::Ended,
};

/// The least a job waits whose body ran into an outage. Claimed again at once it would ask
/// the same database the same thing, in a circle.
const SHORTEST_SNOOZE: Duration = Duration::from_secs(2);

/// Whether the body gave no answer of its own: it ran past its deadline, or panicked. So
/// nobody has told its connection yet.
pub(super) fn was_cut_short(run: &JobRun, ended: &Ended) -> bool {
    match ended {
        Ended::Panicked(_) | Ended::Dropped(StopReason::Deadline) => true,
        Ended::Answered(Err(JobError { next, .. })) => {
            *next == Next::Release && run.stopped() == Some(StopReason::Deadline)
        }
        Ended::Answered(Ok(_))
        | Ended::Dropped(StopReason::Lost | StopReason::Shutdown | StopReason::MakingRoom) => false,
    }
}

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
        // Nobody asked it to stop: the database failed it, and may for a while.
        Ended::Answered(Err(JobError {
            next: Next::Release,
            failure,
        })) if run.stopped().is_none() => {
            return soon(run.log.scrub_failure(failure));
        }
        Ended::Answered(Err(error)) => error,
        Ended::Dropped(StopReason::Deadline) => past_deadline(metrics),
        // A lost lease finds no row to release; the others do.
        Ended::Dropped(StopReason::Lost | StopReason::Shutdown | StopReason::MakingRoom) => {
            metrics.released.add(1);
            return Settle::Release;
        }
        Ended::Panicked(message) => panicked(run, &message, metrics),
    };
    let failure = run.log.scrub_failure(failure);
    let policy = match (run.policy(), next) {
        (Some(policy), _) => policy,
        // Nobody can say how many attempts it has: the database is away.
        (None, Next::Retry { .. }) => return soon(failure),
        (None, Next::Fail | Next::Snooze { .. } | Next::Park { .. } | Next::Release) => {
            RetryPolicy::default()
        }
    };
    retry::decide(
        &run.job,
        Err(JobError { next, failure }),
        &policy,
        clock.now(),
        rand::random(),
    )
}

fn soon(failure: Failure) -> Settle {
    Settle::Snooze {
        delay: SHORTEST_SNOOZE.mul_f64(rand::rng().random_range(1.0..2.5)),
        failure,
    }
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
    use patchbay_core::{clock::SystemClock, secret::Secret};
    use serde_json::json;

    use super::*;

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
        let (run, _) = JobRun::on_memory(json!({})).await;
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

    #[tokio::test]
    async fn a_body_that_gave_up_unasked_is_tried_again_in_seconds_with_its_reason_shown() {
        let (run, _) = JobRun::on_memory(json!({})).await;
        let settle = settled(&run, answer(Next::Release, "the database is away"));
        let Settle::Snooze { delay, failure } = settle else {
            panic!("{settle:?}");
        };
        assert_eq!(failure.message, "the database is away");
        assert!((2..=5).contains(&delay.as_secs()), "{delay:?}");
    }

    #[tokio::test]
    async fn nobody_gives_up_by_a_policy_that_could_not_be_read() {
        let (mut run, _) = JobRun::on_memory(json!({})).await;
        run.job.org_id = Some(patchbay_core::ids::OrgId::new(&SystemClock));
        run.job.attempt = 3;
        run.read_policy().await;
        let settle = settled(&run, answer(Next::Retry { after: None }, "503"));
        assert!(matches!(settle, Settle::Snooze { .. }), "{settle:?}");
    }

    #[tokio::test]
    async fn a_body_that_was_asked_to_stop_goes_back_at_once() {
        let (run, _) = JobRun::on_memory(json!({})).await;
        run.stop_for(StopReason::Shutdown);
        let settle = settled(&run, Ended::Answered(Err(run.released())));
        assert_eq!(settle, Settle::Release);
    }
}
