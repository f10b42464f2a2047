//! Budgets: how fast one account of a provider is called, by all processes together. Each call
//! takes a permit first; permits are given in the order they are asked for, each with the wait
//! until it is good (GCRA: a bucket that holds one budget and refills evenly). After a quiet
//! time a whole budget goes out at once, then one call an interval.
//!
//! Here is the arithmetic alone, in microseconds; time is a parameter. A fleet does the same in
//! Redis (`hints/redis/permit.lua`), and a test compares the two. Why so:
//! `docs/adr/0014-pace-per-account.md`.

use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};

mod buckets;
mod pacer;

pub use buckets::Buckets;
pub use pacer::{Late, PaceCounts, Pacer};

/// Longest wait inside a call, as long as the longest that a refusal for haste is waited out
/// (`Backoff` in `providers`). Whoever would wait longer gets no permit and comes back.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    calls: u32,
    per: Duration,
}

/// The budget of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    key: String,
    /// How fast it may be called.
    pub rate: Rate,
}

/// Who asks for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A job, which can wait.
    Job,
    /// A check, or a person's test: it goes before all jobs that wait, on credit. What it took
    /// is missing to the jobs after it. The credit is one budget more.
    Check,
}

/// What a permit is given by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Time between two calls.
    pub interval: u64,
    /// How much time's calls may be taken before their time.
    pub ahead: u64,
    /// How much time's calls are taken before their time at most, by anyone.
    pub furthest: u64,
}

/// An answer to whoever asked for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// After this it is good. Longer than [`LONGEST_WAIT`]: there is none.
    pub wait: u64,
    /// When it was asked for.
    pub asked_at: u64,
}

impl Rate {
    /// `None` where there would be no calls or no time.
    #[must_use]
    pub fn new(calls: u32, per: Duration) -> Option<Self> {
        (calls > 0 && !per.is_zero()).then_some(Self { calls, per })
    }

    /// What one of `sharers` processes gives permits by, where each keeps its own share.
    #[must_use]
    pub fn terms(self, caller: Caller, sharers: u32) -> Terms {
        let sharers = sharers.max(1);
        let longest = micros(LONGEST_WAIT);
        // Rounded up: never faster than declared.
        let interval = micros(self.per).div_ceil(self.calls.into()).max(1);
        let interval = interval.saturating_mul(sharers.into());
        let budget = interval.saturating_mul((self.calls / sharers).max(1).into());
        let most = budget.saturating_mul(2).saturating_add(longest);
        Terms {
            interval,
            ahead: match caller {
                Caller::Job => budget,
                Caller::Check => most,
            }
            .saturating_sub(interval),
            furthest: most.saturating_add(longest),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = if self.calls == 1 { "call" } else { "calls" };
        write!(f, "{} {calls} in {:?}", self.calls, self.per)
    }
}

impl Budget {
    /// The budget of an account. All that name the same account of a provider share it.
    #[must_use]
    pub fn new(provider: &str, account: &str, rate: Rate) -> Self {
        let name = Sha256::new()
            .chain_update(provider)
            .chain_update([0])
            .chain_update(account)
            .finalize();
        // Hashed, because accounts are named by providers: any length, any characters.
        let key = name[..16].iter().map(|byte| format!("{byte:02x}"));
        Self {
            key: key.collect(),
            rate,
        }
    }

    /// What names it in Redis.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Terms {
    /// Asks for a permit at `now`, where calls are taken until `taken`. The wait, and until when
    /// they are taken then.
    #[must_use]
    pub fn take(&self, taken: u64, now: u64) -> (u64, u64) {
        // A clock that was set back must not close the budget for long.
        let taken = taken.clamp(now, now.saturating_add(self.furthest));
        let wait = (taken - now).saturating_sub(self.ahead);
        if wait > micros(LONGEST_WAIT) {
            (wait, taken)
        } else {
            (wait, taken.saturating_add(self.interval))
        }
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn rate(calls: u32, seconds: u64) -> Rate {
        Rate::new(calls, Duration::from_secs(seconds)).unwrap()
    }

    /// The waits of calls that ask at these times.
    fn waits(terms: Terms, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut taken = 0;
        let mut take = |now| {
            let (wait, next) = terms.take(taken, now);
            taken = next;
            wait
        };
        times.into_iter().map(&mut take).collect()
    }

    #[test]
    fn a_budget_goes_out_at_once_and_then_one_call_an_interval() {
        let terms = rate(3, 3).terms(Caller::Job, 1);
        let got = waits(terms, [SECOND; 5]);
        assert_eq!(got, [0, 0, 0, SECOND, 2 * SECOND]);
        let later = [SECOND, SECOND, SECOND, 3 * SECOND, 3 * SECOND, 3 * SECOND];
        assert_eq!(waits(terms, later), [0, 0, 0, 0, 0, SECOND]);
    }

    #[test]
    fn no_permit_is_given_for_later_than_the_longest_wait_and_asking_costs_nothing() {
        let terms = rate(1, 2).terms(Caller::Job, 1);
        let got = waits(terms, [0; 5]);
        let seconds: Vec<u64> = got.iter().map(|wait| wait / SECOND).collect();
        assert_eq!(seconds, [0, 2, 4, 6, 6]);
        assert_eq!(waits(terms, [0, 0, 0, 0, 6 * SECOND])[4], 0);
    }

    #[test]
    fn a_check_goes_before_all_that_wait_and_they_wait_for_it() {
        let (job, check) = (
            rate(1, 1).terms(Caller::Job, 1),
            rate(1, 1).terms(Caller::Check, 1),
        );
        let mut taken = 0;
        for _ in 0..7 {
            taken = job.take(taken, 0).1;
        }
        let (wait, next) = job.take(taken, 0);
        assert_eq!((wait, next), (6 * SECOND, taken), "no room for a job");
        let (wait, next) = check.take(taken, 0);
        assert_eq!(wait, 0);
        assert_eq!(job.take(next, 0).0, 7 * SECOND);
        assert_eq!(check.take(next, 0).0, SECOND, "the credit is used up");
    }

    #[test]
    fn shares_of_all_sharers_are_no_more_than_the_whole() {
        let whole = rate(10, 1).terms(Caller::Job, 1);
        let share = rate(10, 1).terms(Caller::Job, 4);
        assert_eq!(share.interval, 4 * whole.interval);
        assert_eq!(waits(share, [0; 3]), [0, 0, 4 * whole.interval]);
        assert_eq!(
            waits(rate(1, 1).terms(Caller::Job, 50), [0; 2])[1],
            50 * SECOND
        );
    }

    #[test]
    fn a_clock_that_was_set_back_closes_no_budget() {
        let terms = rate(10, 1).terms(Caller::Job, 1);
        let (wait, _) = terms.take(3600 * SECOND, SECOND);
        assert!(wait <= 12 * SECOND, "{wait}");
    }

    #[test]
    fn budgets_are_named_by_provider_and_account_and_tell_neither() {
        let of = |provider: &str, account: &str| Budget::new(provider, account, rate(1, 1)).key;
        assert_eq!(of("square", "MLE1"), of("square", "MLE1"));
        assert_ne!(of("square", "MLE1"), of("square", "MLE2"));
        assert_ne!(of("square", "MLE1"), of("etsy", "MLE1"));
        assert_ne!(of("a", "b"), of("ab", ""));
        assert!(!of("square", "MLE1").contains("MLE1"));
    }
}
