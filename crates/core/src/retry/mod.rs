//! Step 9 of the job protocol: what becomes of a job when its body has answered. Pure:
//! time and randomness are parameters, so every case is tested without waiting.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    entities::job::Model as Job,
    job::{DEFAULT_MAX_ATTEMPTS, JobError, Next, Settle},
};

pub mod fingerprint;
mod policy;

pub use policy::{BOUNDS, Backoff, Bounds, RetryPolicy, Scope};

/// The longest wait that a provider's `Retry-After` can cause.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Attempts that a job has: its own number where it was asked for with one (a test of a
/// credential has two), else what the org's policy says at this moment.
#[must_use]
pub fn attempts_of(own: i32, policy: &RetryPolicy) -> i32 {
    if own == DEFAULT_MAX_ATTEMPTS {
        policy.max_attempts()
    } else {
        own
    }
}

/// What becomes of `job` when its body has answered. `policy` is the one in force now, so a
/// change takes effect on jobs that run or wait already. `random` is in `0.0..1.0`; `now` is
/// the protocol's time.
#[must_use]
pub fn decide(
    job: &Job,
    answer: Result<Value, JobError>,
    policy: &RetryPolicy,
    now: DateTime<Utc>,
    random: f64,
) -> Settle {
    let JobError { next, failure } = match answer {
        Ok(result) => return Settle::Succeed { result },
        Err(error) => error,
    };
    match next {
        Next::Retry { .. } if job.attempt + 1 >= attempts_of(job.max_attempts, policy) => {
            Settle::Fail { failure }
        }
        Next::Retry { after } => {
            let retry = u32::try_from(job.attempt).unwrap_or(0);
            let delay = match after {
                // Never sooner than asked; a tenth later at most, at random.
                Some(after) => after
                    .min(LONGEST_WAIT)
                    .mul_f64(1.0 + 0.1 * random.clamp(0.0, 1.0)),
                None => policy.delay(retry, random),
            };
            Settle::Retry { delay, failure }
        }
        Next::Fail => Settle::Fail { failure },
        Next::Snooze { until } => Settle::Snooze {
            delay: (until - now).to_std().unwrap_or(Duration::ZERO),
            failure,
        },
        Next::Park { credential_version } => Settle::Park {
            credential_version,
            failure,
        },
        Next::Release => Settle::Release,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        failure::{Failure, FailureKind},
        ids::JobId,
        job::{JobKind, JobState, Queue},
    };

    fn job(attempt: i32) -> Job {
        let now = SystemClock.now();
        Job {
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
            attempt,
            max_attempts: RetryPolicy::default().max_attempts(),
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
        }
    }

    fn failure() -> Failure {
        Failure::new(FailureKind::ProviderDown, "no answer", "wait")
    }

    fn answer(attempt: i32, next: Next) -> Settle {
        let error = JobError {
            next,
            failure: failure(),
        };
        decide(
            &job(attempt),
            Err(error),
            &RetryPolicy::default(),
            SystemClock.now(),
            1.0,
        )
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn success_keeps_its_result() {
        let settle = decide(
            &job(0),
            Ok(json!(7)),
            &RetryPolicy::default(),
            SystemClock.now(),
            0.0,
        );
        assert_eq!(settle, Settle::Succeed { result: json!(7) });
    }

    #[test]
    fn three_retries_wait_longer_and_longer_and_the_fourth_attempt_is_the_last() {
        let retry = Next::Retry { after: None };
        for (attempt, delay) in [(0, 5), (1, 10), (2, 20)] {
            assert_eq!(
                answer(attempt, retry),
                Settle::Retry {
                    delay: seconds(delay),
                    failure: failure()
                }
            );
        }
        assert_eq!(answer(3, retry), Settle::Fail { failure: failure() });
    }

    #[test]
    fn retry_after_is_never_undercut_and_never_endless() {
        let asked = |after, random| {
            let error = JobError {
                next: Next::Retry { after: Some(after) },
                failure: failure(),
            };
            match decide(
                &job(0),
                Err(error),
                &RetryPolicy::default(),
                SystemClock.now(),
                random,
            ) {
                Settle::Retry { delay, .. } => delay,
                other => panic!("expected a retry, got {other:?}"),
            }
        };
        assert_eq!(asked(seconds(300), 0.0), seconds(300));
        assert_eq!(asked(seconds(300), 1.0), seconds(330));
        assert_eq!(asked(Duration::MAX, 0.0), LONGEST_WAIT);
    }

    #[test]
    fn retry_after_does_not_add_attempts() {
        assert_eq!(
            answer(
                3,
                Next::Retry {
                    after: Some(seconds(1))
                }
            ),
            Settle::Fail { failure: failure() }
        );
    }

    #[test]
    fn a_snooze_until_the_past_is_due_at_once() {
        let now = SystemClock.now();
        for (until, delay) in [
            (TimeDelta::seconds(90), seconds(90)),
            (TimeDelta::seconds(-5), Duration::ZERO),
        ] {
            let error = JobError {
                next: Next::Snooze { until: now + until },
                failure: failure(),
            };
            let settle = decide(&job(3), Err(error), &RetryPolicy::default(), now, 0.5);
            assert_eq!(
                settle,
                Settle::Snooze {
                    delay,
                    failure: failure()
                }
            );
        }
    }

    #[test]
    fn fail_park_and_release_pass_through() {
        assert_eq!(answer(0, Next::Fail), Settle::Fail { failure: failure() });
        let park = Settle::Park {
            credential_version: Some(4),
            failure: failure(),
        };
        assert_eq!(
            answer(
                3,
                Next::Park {
                    credential_version: Some(4)
                }
            ),
            park
        );
        assert_eq!(answer(3, Next::Release), Settle::Release);
    }

    #[test]
    fn the_policy_in_force_says_how_many_attempts_there_are() {
        let policy = |max_retries| RetryPolicy {
            max_retries,
            ..RetryPolicy::default()
        };
        let ends = |job: &Job, policy: &RetryPolicy| {
            let error = JobError {
                next: Next::Retry { after: None },
                failure: failure(),
            };
            matches!(
                decide(job, Err(error), policy, SystemClock.now(), 0.5),
                Settle::Fail { .. }
            )
        };
        assert!(ends(&job(0), &policy(0)));
        assert!(!ends(&job(3), &policy(20)));
        assert!(ends(&job(20), &policy(20)));
        // One that was asked for with a number of its own keeps it.
        let own = Job {
            max_attempts: 1,
            ..job(0)
        };
        assert!(ends(&own, &policy(20)));
    }
}
