//! Circuit breakers: a host that does not answer is left alone for a while, so that jobs do
//! not burn their attempts on it and it is not asked by all of them at once when it comes
//! back. One per provider and origin, shared by the fleet through the database
//! (`docs/adr`). Here is the state alone: time and randomness are parameters.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

mod shared;

pub use shared::{BreakerCounts, Breakers, Caller, Held, Pass};

/// Failures in a row, by the whole fleet, that open it. A job that asks a failing host makes
/// up to three calls before it gives up (`FAULT_REPEATS` in `providers`), so one job alone
/// does not.
pub const FAILURES: u32 = 8;
/// They count while the first of them is younger than this.
pub const WINDOW: TimeDelta = TimeDelta::minutes(1);
/// The first pause; each probe that fails doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A probe of which nothing is heard, because its process died, is given up this much after the
/// call's own limit, and another call may probe.
const PROBE_SLACK: Duration = Duration::from_secs(2);

/// What is known of one host of one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row since [`Self::first_failed_at`].
    pub failures: u32,
    /// When the first of them was.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// Since when it is open.
    pub opened_at: Option<DateTime<Utc>>,
    /// Pauses in a row.
    pub trips: u32,
    /// No call before this time while it is open.
    pub probe_at: Option<DateTime<Utc>>,
    /// The last failure, in words.
    pub reason: Option<String>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go out.
    Closed,
    /// Calls are held back.
    Open,
    /// The pause is over: the next call probes.
    HalfOpen,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name used in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Breaker {
    /// How it stands now.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match (self.opened_at, self.probe_at) {
            (None, _) => State::Closed,
            (Some(_), Some(at)) if at > now => State::Open,
            (Some(_), _) => State::HalfOpen,
        }
    }

    /// Takes the probe, if the pause is over: whoever gets it makes one call, which has ended
    /// after `limit`.
    #[must_use]
    pub fn take_probe(&mut self, now: DateTime<Utc>, limit: Duration) -> bool {
        let due = self.state(now) == State::HalfOpen;
        if due {
            let limit = TimeDelta::from_std(limit.min(LONGEST_PAUSE) + PROBE_SLACK);
            self.probe_at = Some(now + limit.expect("at most five minutes"));
        }
        due
    }

    /// The probe did not ask the host: the next call may. True: it was still open.
    pub fn return_probe(&mut self, now: DateTime<Utc>) -> bool {
        let open = self.opened_at.is_some();
        if open {
            self.probe_at = Some(now);
        }
        open
    }

    /// A call failed by the host's own fault. `probing`: it was the probe. A late failure of
    /// a call that went out before it opened changes nothing. True: it opened by this.
    pub fn failed(&mut self, now: DateTime<Utc>, probing: bool, reason: &str) -> bool {
        if self.opened_at.is_some() {
            if probing {
                self.pause(now);
                self.reason = Some(reason.to_owned());
            }
            return false;
        }
        let stale = |first| now - first > WINDOW;
        if self.first_failed_at.is_none_or(stale) {
            self.failures = 0;
            self.first_failed_at = Some(now);
        }
        self.failures += 1;
        self.reason = Some(reason.to_owned());
        let opens = self.failures >= FAILURES;
        if opens {
            self.opened_at = Some(now);
            self.pause(now);
        }
        opens
    }

    fn pause(&mut self, now: DateTime<Utc>) {
        let pause = FIRST_PAUSE
            .saturating_mul(2_u32.saturating_pow(self.trips))
            .min(LONGEST_PAUSE);
        self.trips = self.trips.saturating_add(1);
        self.probe_at = Some(now + TimeDelta::from_std(pause).expect("at most five minutes"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn failed(times: u32, from: i64) -> Breaker {
        let mut breaker = Breaker::default();
        for n in 0..times {
            breaker.failed(at(from + i64::from(n)), false, "503");
        }
        breaker
    }

    #[test]
    fn it_opens_with_the_eighth_failure_in_a_row_and_not_before() {
        let mut breaker = failed(FAILURES - 1, 0);
        assert_eq!(breaker.state(at(7)), State::Closed);
        assert!(breaker.failed(at(7), false, "503"));
        assert_eq!(breaker.state(at(7)), State::Open);
        assert_eq!(breaker.opened_at, Some(at(7)));
        assert_eq!(breaker.probe_at, Some(at(17)));
    }

    #[test]
    fn failures_that_are_far_apart_do_not_add_up() {
        let mut breaker = failed(FAILURES - 1, 0);
        assert!(!breaker.failed(at(61), false, "503"));
        assert_eq!(
            (breaker.failures, breaker.state(at(61))),
            (1, State::Closed)
        );
    }

    #[test]
    fn one_probe_goes_out_when_the_pause_is_over_and_another_when_it_never_answers() {
        let mut breaker = failed(FAILURES, 0);
        let limit = Duration::from_secs(30);
        assert!(!breaker.take_probe(at(16), limit), "the pause ends at 17 s");
        assert_eq!(breaker.state(at(17)), State::HalfOpen);
        assert!(breaker.take_probe(at(17), limit));
        assert!(!breaker.take_probe(at(48), limit), "one is under way");
        assert!(breaker.take_probe(at(49), limit));
        assert!(breaker.return_probe(at(50)));
        assert!(breaker.take_probe(at(50), limit), "that one asked nobody");
    }

    #[test]
    fn each_probe_that_fails_doubles_the_pause_up_to_five_minutes() {
        let mut breaker = failed(FAILURES, 0);
        let mut now = breaker.probe_at.unwrap();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(breaker.take_probe(now, Duration::from_secs(5)));
            assert!(!breaker.failed(now, true, "504"));
            let next = breaker.probe_at.unwrap();
            pauses.push((next - now).num_seconds());
            now = next;
        }
        assert_eq!(pauses, [20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(breaker.reason.as_deref(), Some("504"));
        assert_eq!(breaker.opened_at, Some(at(7)), "since the first");
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_prolong_the_pause() {
        let mut breaker = failed(FAILURES, 0);
        let before = breaker.clone();
        assert!(!breaker.failed(at(15), false, "timeout"));
        assert_eq!(breaker, before);
    }
}
