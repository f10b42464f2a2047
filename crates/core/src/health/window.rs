//! How far back numbers look.

use chrono::{DateTime, TimeDelta, Utc};

use super::hour_of;

/// The windows that people can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last sixty minutes, from the single checks (of the last hundred).
    Hour,
    /// The present hour and the 23 before it.
    Day,
    /// The present hour and the 167 before it.
    Week,
    /// The present hour and the 719 before it.
    Month,
}

impl Window {
    /// Every window.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The window of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }

    fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
        }
    }

    /// When it begins: for the shortest an hour ago, for the others at the full hour.
    #[must_use]
    pub fn begins(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Hour => now - TimeDelta::hours(1),
            Self::Day | Self::Week | Self::Month => {
                let first = (hour_of(now) - self.hours() + 1) * 3600;
                DateTime::from_timestamp(first, 0).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_hours_begins_at_a_full_one() {
        let now: DateTime<Utc> = "2026-03-10T15:42:10Z".parse().unwrap();
        let begins = |window: Window| window.begins(now).to_rfc3339();
        assert_eq!(begins(Window::Hour), "2026-03-10T14:42:10+00:00");
        assert_eq!(begins(Window::Day), "2026-03-09T16:00:00+00:00");
        assert_eq!(begins(Window::Week), "2026-03-03T16:00:00+00:00");
        for window in Window::ALL {
            assert_eq!(Window::of_name(window.name()), Some(window));
        }
        assert_eq!(Window::of_name("2d"), None);
    }
}
