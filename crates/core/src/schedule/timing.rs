//! The two ways to say when: every so often, or by a cron pattern.

use chrono::{DateTime, TimeDelta, Utc};

use super::CronTimes;

/// When the ticks of a schedule are.
#[derive(Debug, Clone)]
pub enum Timing {
    /// Every so often.
    Every(Period),
    /// When the clocks of a place show it.
    Cron(CronTimes),
}

impl Timing {
    /// The first tick after a moment; `None` where there is none in the calendar.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every(period) => period.next_after(after),
            Self::Cron(times) => times.next_after(after),
        }
    }

    /// How far its ticks may be spread, in seconds. A period has no moment of its own, so
    /// it is spread whole, at most an hour; a cron time stays within its minute.
    #[must_use]
    pub fn spread(&self) -> i64 {
        match self {
            Self::Every(period) => period.seconds.min(3600),
            Self::Cron(_) => 60,
        }
    }
}

/// The time from one tick to the next. Ticks are multiples of it since 1970-01-01T00:00Z,
/// so everybody counts alike: every 15 minutes is at :00, :15, :30 and :45.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    seconds: i64,
}

/// A text that is no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EveryError {
    /// Not a number with a unit.
    #[error("must be a whole number with a unit, such as 15m, 6h or 1d")]
    Unreadable,
    /// Out of bounds.
    #[error("must be from 1m to 31d")]
    OutOfBounds,
}

impl Period {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 3600;
    const DAY: i64 = 86_400;

    /// A period of so many seconds; `None` unless there is at least one.
    #[must_use]
    pub fn of_seconds(seconds: i64) -> Option<Self> {
        (seconds > 0).then_some(Self { seconds })
    }

    /// Reads `15m`, `6h` or `1d`.
    ///
    /// # Errors
    /// It is no such text, or below a minute, or above 31 days.
    pub fn parse(text: &str) -> Result<Self, EveryError> {
        let text = text.trim();
        let unit = match text.chars().last() {
            Some('m') => Self::MINUTE,
            Some('h') => Self::HOUR,
            Some('d') => Self::DAY,
            _ => return Err(EveryError::Unreadable),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(EveryError::Unreadable);
        }
        let seconds = digits.parse::<i64>().ok();
        let seconds = seconds
            .and_then(|number| number.checked_mul(unit))
            .filter(|seconds| (Self::MINUTE..=31 * Self::DAY).contains(seconds))
            .ok_or(EveryError::OutOfBounds)?;
        Ok(Self { seconds })
    }

    /// Its length.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    fn next_after(self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let passed = after.timestamp().div_euclid(self.seconds);
        let next = passed.checked_add(1)?.checked_mul(self.seconds)?;
        DateTime::from_timestamp(next, 0)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(Self::DAY, "d"), (Self::HOUR, "h"), (Self::MINUTE, "m")];
        match units.iter().find(|unit| self.seconds % unit.0 == 0) {
            Some((length, name)) => write!(f, "{}{name}", self.seconds / length),
            None => write!(f, "{}s", self.seconds),
        }
    }
}

impl Timing {
    /// At most `count` ticks after a moment.
    #[must_use]
    pub fn upcoming(&self, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        let first = self.next_after(after);
        std::iter::successors(first, |tick| self.next_after(*tick))
            .take(count)
            .collect()
    }

    /// The newest `most` ticks from `from` on, up to `to`, oldest first, and whether there
    /// are older ones. Costs about as many steps as it answers, however long ago `from` is.
    #[must_use]
    pub fn between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        most: usize,
    ) -> (Vec<DateTime<Utc>>, bool) {
        let before_first = from - TimeDelta::seconds(1);
        let mut look_back = TimeDelta::hours(1);
        loop {
            let start = (to - look_back).max(before_first);
            let mut found: Vec<_> =
                std::iter::successors(self.next_after(start), |tick| self.next_after(*tick))
                    .take_while(|tick| *tick <= to)
                    .collect();
            if start == before_first || found.len() > most {
                let older = found.len().saturating_sub(most);
                found.drain(..older);
                return (found, older > 0);
            }
            look_back = look_back * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn every(text: &str) -> Timing {
        Timing::Every(Period::parse(text).unwrap())
    }

    #[test]
    fn a_period_is_read_and_shown_in_its_largest_unit() {
        for (text, shown) in [
            ("15m", "15m"),
            ("120m", "2h"),
            (" 48h ", "2d"),
            ("31d", "31d"),
        ] {
            assert_eq!(Period::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_period_is_refused_with_what_is_allowed() {
        for text in ["", "m", "15", "1.5h", "-5m", "15 m", "15s", "½h"] {
            assert_eq!(Period::parse(text), Err(EveryError::Unreadable), "{text}");
        }
        for text in ["0m", "32d", "99999999999999999999m"] {
            assert_eq!(Period::parse(text), Err(EveryError::OutOfBounds), "{text}");
        }
    }

    #[test]
    fn ticks_of_a_period_are_the_same_whoever_asks_and_when() {
        let quarter = every("15m");
        for asked in ["10:00:00Z", "10:07:31Z", "10:14:59.999Z"] {
            assert_eq!(
                quarter.next_after(at(&format!("2026-11-20T{asked}"))),
                Some(at("2026-11-20T10:15:00Z"))
            );
        }
    }

    #[test]
    fn of_a_long_absence_only_the_newest_ticks_are_counted_out() {
        let (from, to) = (at("1990-01-01T00:00:00Z"), at("2026-11-20T10:01:30Z"));
        let (ticks, older) = every("1m").between(from, to, 2);
        assert_eq!(
            (ticks, older),
            (
                vec![at("2026-11-20T10:00:00Z"), at("2026-11-20T10:01:00Z")],
                true
            )
        );
    }

    #[test]
    fn ticks_between_include_both_ends() {
        let (from, to) = (at("2026-11-20T10:00:00Z"), at("2026-11-20T11:00:00Z"));
        let (ticks, older) = every("1h").between(from, to, 100);
        assert_eq!((ticks, older), (vec![from, to], false));
        assert_eq!(every("1h").between(to, from, 100), (Vec::new(), false));
    }
}
