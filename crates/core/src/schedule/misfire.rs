//! Which ticks of a due schedule run, and when it is due again.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Misfire, Timing};

/// A tick that is due for longer than this was missed: no scheduler was there, or none
/// could reach the database.
pub const LATE: TimeDelta = TimeDelta::seconds(60);

/// Ticks that [`Misfire::All`] makes up for at once.
pub const ALL_AT_MOST: usize = 100;

/// What a scheduler does with a due schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The ticks that run, oldest first.
    pub run: Vec<DateTime<Utc>>,
    /// The oldest tick that is passed over, for the stretch until the first that runs.
    pub skipped: Option<DateTime<Utc>>,
    /// The tick that comes next; `None` where the calendar has no more.
    pub next: Option<DateTime<Utc>>,
}

/// Decides over the ticks from `tick` on that are due by `now`.
#[must_use]
pub fn plan(
    timing: &Timing,
    policy: Misfire,
    tick: DateTime<Utc>,
    jitter: TimeDelta,
    now: DateTime<Utc>,
) -> Plan {
    // A tick is due a jitter after its time.
    let until = now - jitter;
    let most = match policy {
        Misfire::Skip | Misfire::Last => 1,
        Misfire::All => ALL_AT_MOST,
    };
    let (mut run, _) = timing.between(tick, until, most);
    if policy == Misfire::Skip {
        run.retain(|tick| until - *tick <= LATE);
    }
    let skipped = (tick <= until && run.first() != Some(&tick)).then_some(tick);
    // Not before the tick that was waited for: clocks are set back.
    let next = timing.next_after(until.max(tick - TimeDelta::seconds(1)));
    Plan { run, skipped, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{CronTimes, Period};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn planned(policy: Misfire, now: &str) -> (usize, Option<DateTime<Utc>>, Plan) {
        let every = Timing::Every(Period::parse("10m").unwrap());
        let jitter = TimeDelta::seconds(30);
        let plan = plan(&every, policy, at("2026-11-20T10:00:00Z"), jitter, at(now));
        (plan.run.len(), plan.run.last().copied(), plan)
    }

    const POLICIES: [Misfire; 3] = [Misfire::Skip, Misfire::Last, Misfire::All];

    #[test]
    fn in_time_every_policy_runs_the_tick() {
        for policy in POLICIES {
            let (count, last, plan) = planned(policy, "2026-11-20T10:00:31Z");
            assert_eq!((count, last), (1, Some(at("2026-11-20T10:00:00Z"))));
            assert_eq!(plan.skipped, None);
            assert_eq!(plan.next, Some(at("2026-11-20T10:10:00Z")));
        }
    }

    #[test]
    fn before_its_jitter_has_passed_a_tick_is_not_due() {
        for policy in POLICIES {
            let (count, _, plan) = planned(policy, "2026-11-20T10:00:29Z");
            assert_eq!((count, plan.skipped), (0, None));
            assert_eq!(plan.next, Some(at("2026-11-20T10:00:00Z")));
        }
    }

    #[test]
    fn skip_passes_over_what_was_missed_and_goes_on() {
        let (count, _, plan) = planned(Misfire::Skip, "2026-11-20T12:05:00Z");
        assert_eq!(count, 0);
        assert_eq!(plan.skipped, Some(at("2026-11-20T10:00:00Z")));
        assert_eq!(plan.next, Some(at("2026-11-20T12:10:00Z")));
        // The newest tick is in time again: it runs.
        let (count, last, plan) = planned(Misfire::Skip, "2026-11-20T12:10:45Z");
        assert_eq!((count, last), (1, Some(at("2026-11-20T12:10:00Z"))));
        assert_eq!(plan.skipped, Some(at("2026-11-20T10:00:00Z")));
    }

    #[test]
    fn last_runs_the_newest_of_what_was_missed() {
        let (count, last, plan) = planned(Misfire::Last, "2026-11-20T12:05:00Z");
        assert_eq!((count, last), (1, Some(at("2026-11-20T12:00:00Z"))));
        assert_eq!(plan.skipped, Some(at("2026-11-20T10:00:00Z")));
        assert_eq!(plan.next, Some(at("2026-11-20T12:10:00Z")));
    }

    #[test]
    fn all_runs_each_and_at_most_a_hundred() {
        let (count, last, plan) = planned(Misfire::All, "2026-11-20T12:05:00Z");
        assert_eq!((count, last), (13, Some(at("2026-11-20T12:00:00Z"))));
        assert_eq!(plan.skipped, None);
        let (count, last, plan) = planned(Misfire::All, "2026-11-23T10:05:00Z");
        assert_eq!((count, last), (100, Some(at("2026-11-23T10:00:00Z"))));
        assert_eq!(plan.skipped, Some(at("2026-11-20T10:00:00Z")));
        assert_eq!(plan.next, Some(at("2026-11-23T10:10:00Z")));
    }

    #[test]
    fn a_daily_time_that_was_missed_by_hours_is_made_up_for() {
        let cron = Timing::Cron(CronTimes::parse("0 2 * * *", "Europe/Berlin").unwrap());
        let tick = at("2026-11-20T01:00:00Z");
        let now = at("2026-11-20T09:00:00Z");
        let made_up = plan(&cron, Misfire::Last, tick, TimeDelta::zero(), now);
        assert_eq!((made_up.run, made_up.skipped), (vec![tick], None));
        let passed = plan(&cron, Misfire::Skip, tick, TimeDelta::zero(), now);
        assert_eq!((passed.run, passed.skipped), (Vec::new(), Some(tick)));
        assert_eq!(passed.next, Some(at("2026-11-21T01:00:00Z")));
    }
}
