//! How long something is kept.

use std::time::Duration;

use super::value::Value;

/// A number of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(u32);

impl Days {
    /// The same as a length of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 24 * 3600)
    }
}

/// A number of days that the longest window of a connection's health fits into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollupDays(Days);

/// The window of thirty days begins within the thirty-first.
const LONGEST_WINDOW: u32 = 31;

impl RollupDays {
    /// The same as a length of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0.duration()
    }
}

impl Value for RollupDays {
    const ALLOWED: &'static str = "a number of days such as 400d, from 31d (the longest window of a connection's health) to 3650d";

    fn parse(text: &str) -> Result<Self, String> {
        let days = Days::parse(text)?;
        if days.0 < LONGEST_WINDOW {
            return Err(
                "is less than the 31d that the metrics over 30 days are made of".to_owned(),
            );
        }
        Ok(Self(days))
    }

    fn shown(&self) -> String {
        self.0.shown()
    }
}

impl Value for Days {
    const ALLOWED: &'static str = "a number of days such as 90d, from 1d to 3650d";

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_suffix('d').ok_or("is not a number of days")?;
        let days = digits
            .parse::<u32>()
            .map_err(|_| "is not a number of days")?;
        if (1..=3650).contains(&days) {
            Ok(Self(days))
        } else {
            Err("is out of range".into())
        }
    }

    fn shown(&self) -> String {
        format!("{}d", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_for_the_longest_window_at_least() {
        let kept = RollupDays::parse("31d").unwrap();
        assert_eq!(
            (kept.shown().as_str(), kept.duration().as_secs()),
            ("31d", 2_678_400)
        );
        for text in ["30d", "1d", "3651d", "month"] {
            assert!(RollupDays::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_read_and_shown_alike() {
        let days = Days::parse("90d").unwrap();
        assert_eq!(
            (days.shown().as_str(), days.duration().as_secs()),
            ("90d", 7_776_000)
        );
        for text in ["", "d", "90", "0d", "3651d", "-1d", "1.5d", "12h"] {
            assert!(Days::parse(text).is_err(), "{text}");
        }
    }
}
