//! An org's policy for what failed: how often it is tried again, after which waits, and
//! whether a person has to look at what gave up.

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use crate::job::JobKind;

/// What a policy is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Scope {
    /// Jobs.
    Jobs,
    /// Deliveries of webhooks.
    Webhooks,
}

impl Scope {
    /// The policy that a job's failures come under.
    #[must_use]
    pub fn of(kind: JobKind) -> Self {
        match kind {
            JobKind::AlertDelivery => Self::Webhooks,
            JobKind::ConnectionTest
            | JobKind::HealthCheck
            | JobKind::HealthBatch
            | JobKind::Sync
            | JobKind::Action
            | JobKind::CredentialRefresh
            | JobKind::CredentialRevoke
            | JobKind::ConsentExchange
            | JobKind::OauthClientSet
            | JobKind::AlertWebhookSet
            | JobKind::Noop => Self::Jobs,
        }
    }
}

/// How the wait grows from retry to retry.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Backoff {
    /// Doubles: base, 2 base, 4 base.
    Exponential,
    /// Grows by the base: base, 2 base, 3 base.
    Linear,
    /// Always the base.
    Fixed,
    /// The schedule that Standard Webhooks recommends, for deliveries only; base and cap
    /// say nothing then
    /// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>).
    StandardWebhooks,
}

/// Waits before the retries of [`Backoff::StandardWebhooks`], in seconds: 5 s, 5 min,
/// 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. After the last it stays.
const STANDARD_WEBHOOKS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Least and most of the numbers of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most retries; the least is none.
    pub max_retries: u16,
    /// Shortest wait.
    pub shortest: Duration,
    /// Longest wait.
    pub longest: Duration,
}

/// What a policy may say.
pub const BOUNDS: Bounds = Bounds {
    max_retries: 20,
    shortest: Duration::from_millis(100),
    longest: Duration::from_secs(24 * 3600),
};

/// An org's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Whether what gave up waits in the dead-letter queue for a person.
    pub dead_letters: bool,
}

impl Default for RetryPolicy {
    /// The usual policy of jobs.
    fn default() -> Self {
        Self::usual(Scope::Jobs)
    }
}

impl RetryPolicy {
    /// The policy of an org that has set none. Jobs: three retries, exponential from 5 s, cap
    /// 60 s. Webhooks: the nine retries of Standard Webhooks, over three days.
    #[must_use]
    pub fn usual(scope: Scope) -> Self {
        match scope {
            Scope::Jobs => Self {
                backoff: Backoff::Exponential,
                base: Duration::from_secs(5),
                cap: Duration::from_secs(60),
                jitter: true,
                max_retries: 3,
                dead_letters: true,
            },
            Scope::Webhooks => Self {
                backoff: Backoff::StandardWebhooks,
                base: Duration::from_secs(5),
                cap: BOUNDS.longest,
                jitter: true,
                max_retries: 9,
                dead_letters: true,
            },
        }
    }

    /// The first attempt and the retries.
    #[must_use]
    pub fn max_attempts(&self) -> i32 {
        i32::from(self.max_retries) + 1
    }

    /// The wait before retry number `retry` (from 0). `random` is in `0.0..1.0`.
    #[must_use]
    pub fn delay(&self, retry: u32, random: f64) -> Duration {
        let delay = self.longest(retry);
        if self.jitter {
            delay.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
        } else {
            delay
        }
    }

    /// The wait before each retry, before jitter shortens it.
    #[must_use]
    pub fn delays(&self) -> Vec<Duration> {
        (0..u32::from(self.max_retries))
            .map(|retry| self.longest(retry))
            .collect()
    }

    fn longest(&self, retry: u32) -> Duration {
        let grown = match self.backoff {
            Backoff::Exponential => self.base.saturating_mul(2_u32.saturating_pow(retry)),
            Backoff::Linear => self.base.saturating_mul(retry.saturating_add(1)),
            Backoff::Fixed => self.base,
            Backoff::StandardWebhooks => {
                let place = usize::try_from(retry).unwrap_or(usize::MAX);
                let last = STANDARD_WEBHOOKS.len() - 1;
                return Duration::from_secs(STANDARD_WEBHOOKS[place.min(last)]);
            }
        };
        grown.min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(policy.delay(0, 1.0), Duration::from_secs(5));
        assert_eq!(policy.delay(u32::MAX, 1.0), Duration::from_secs(60));
    }

    #[test]
    fn seeded_jitter_gives_waits_between_half_and_whole_that_differ() {
        use rand::{RngExt, SeedableRng, rngs::StdRng};
        let mut random = StdRng::seed_from_u64(7);
        let policy = RetryPolicy::default();
        let waits: Vec<Duration> = (0..100)
            .map(|_| policy.delay(1, random.random::<f64>()))
            .collect();
        let (half, whole) = (Duration::from_secs(5), Duration::from_secs(10));
        assert!(waits.iter().all(|wait| (half..=whole).contains(wait)));
        let different: std::collections::HashSet<_> = waits.iter().collect();
        assert!(different.len() > 90, "{}", different.len());
    }

    #[test]
    fn the_usual_policy_of_webhooks_ends_after_three_days() {
        let usual = RetryPolicy::usual(Scope::Webhooks);
        let total: Duration = usual.delays().iter().sum();
        // 75 h 35 min 5 s, as the standard adds it up.
        assert_eq!(total, Duration::from_secs(75 * 3600 + 35 * 60 + 5));
    }
    #[test]
    fn deliveries_come_under_the_policy_of_webhooks() {
        assert_eq!(Scope::of(JobKind::AlertDelivery), Scope::Webhooks);
        assert_eq!(Scope::of(JobKind::Sync), Scope::Jobs);
    }
}
