//! Step 9 of the job protocol: what becomes of a job when its body has answered. Pure:
//! time and randomness are parameters, so every case is tested without waiting.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    entities::job::Model as Job,
    job::{JobError, Next, Settle},
};

/// The longest wait that a provider's `Retry-After` can cause.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How the wait grows from retry to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// Doubles: base, 2 base, 4 base.
    Exponential,
    /// Grows by the base: base, 2 base, 3 base.
    Linear,
    /// Always the base.
    Fixed,
}

/// An org's policy for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How the wait grows.
    pub backoff: Backoff,
    /// The wait before the first retry.
    pub base: Duration,
    /// No wait is longer, unless the provider asks for it.
    pub cap: Duration,
    /// Waits are shortened at random, down to half, so that jobs that failed together
    /// do not come back together.
    pub jitter: bool,
    /// Retries after the first attempt.
    pub max_retries: u16,
}

impl Default for RetryPolicy {
    /// Three retries, exponential from 5 s, cap 60 s, jitter.
    fn default() -> Self {
        Self {
            backoff: Backoff::Exponential,
            base: Duration::from_secs(5),
            cap: Duration::from_secs(60),
            jitter: true,
            max_retries: 3,
        }
    }
}

impl RetryPolicy {
    /// What to put on a new job: the first attempt and the retries.
    #[must_use]
    pub fn max_attempts(&self) -> i32 {
        i32::from(self.max_retries) + 1
    }

    /// The wait before retry number `retry` (from 0). `random` is in `0.0..1.0`.
    #[must_use]
    pub fn delay(&self, retry: u32, random: f64) -> Duration {
        let grown = match self.backoff {
            Backoff::Exponential => self.base.saturating_mul(2_u32.saturating_pow(retry)),
            Backoff::Linear => self.base.saturating_mul(retry.saturating_add(1)),
            Backoff::Fixed => self.base,
        };
        let delay = grown.min(self.cap);
        if self.jitter {
            delay.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
        } else {
            delay
        }
    }
}

/// What becomes of `job` when its body has answered. How many attempts it has stands on
/// its row. `random` is in `0.0..1.0`; `now` is the protocol's time.
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
        Next::Retry { .. } if job.attempt + 1 >= job.max_attempts => Settle::Fail { failure },
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
    fn each_kind_of_backoff_grows_its_own_way_up_to_the_cap() {
        let delays = |backoff| {
            let policy = RetryPolicy {
                backoff,
                jitter: false,
                ..RetryPolicy::default()
            };
            [0, 1, 2, 3, 40].map(|retry| policy.delay(retry, 0.0).as_secs())
        };
        assert_eq!(delays(Backoff::Exponential), [5, 10, 20, 40, 60]);
        assert_eq!(delays(Backoff::Linear), [5, 10, 15, 20, 60]);
        assert_eq!(delays(Backoff::Fixed), [5, 5, 5, 5, 5]);
    }

    #[test]
    fn jitter_shortens_a_wait_to_half_at_most() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(0, 0.0), Duration::from_millis(2500));
        assert_eq!(policy.delay(0, 1.0), seconds(5));
        assert_eq!(policy.delay(u32::MAX, 1.0), seconds(60));
    }
}
