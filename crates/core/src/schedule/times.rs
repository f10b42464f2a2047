//! The times of a schedule's row.

use chrono::{DateTime, TimeDelta, Utc};

use super::{CronTimes, Period, Timing, jitter};
use crate::entities::schedule::Model as Schedule;

/// When a schedule runs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextTick {
    /// Its nominal time.
    pub tick: DateTime<Utc>,
    /// When it is due: a jitter later.
    pub due: DateTime<Utc>,
}

impl Schedule {
    /// Its timing; `None` where this version cannot read it.
    #[must_use]
    pub fn timing(&self) -> Option<Timing> {
        if let Some(seconds) = self.every_s {
            return Period::of_seconds(seconds).map(Timing::Every);
        }
        let (pattern, zone) = self.cron.as_deref().zip(self.time_zone.as_deref())?;
        CronTimes::parse(pattern, zone).ok().map(Timing::Cron)
    }

    /// How long after a tick it is due.
    #[must_use]
    pub fn jitter(&self, timing: &Timing) -> TimeDelta {
        TimeDelta::seconds(jitter::of(self.org_id, self.connection_id, timing.spread()))
    }

    /// The first tick that is due after now, and was not dealt with yet.
    #[must_use]
    pub fn first_after(&self, timing: &Timing, now: DateTime<Utc>) -> Option<NextTick> {
        let jitter = self.jitter(timing);
        let from = (now - jitter).max(self.last_tick.unwrap_or(DateTime::UNIX_EPOCH));
        let tick = timing.next_after(from)?;
        Some(NextTick {
            tick,
            due: tick + jitter,
        })
    }

    /// The moments of its next runs, as long as it is neither paused nor changed.
    #[must_use]
    pub fn upcoming(&self, count: usize) -> Vec<DateTime<Utc>> {
        let (Some(tick), None, Some(timing)) = (self.tick, self.paused_at, self.timing()) else {
            return Vec::new();
        };
        let jitter = self.jitter(&timing);
        let later = timing.upcoming(tick, count.saturating_sub(1));
        std::iter::once(tick)
            .chain(later)
            .map(|tick| tick + jitter)
            .take(count)
            .collect()
    }
}
