//! Cron patterns by the clocks of a place.
//!
//! Five fields: minute, hour, day of month, month, day of week, with `*`, lists, ranges,
//! steps, names (`MON`, `JAN`) and `L`, `W`, `#` for days; where both days are given,
//! either matches. Or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
//!
//! When clocks change (the rule of Vixie cron, `man 8 cron`, with the gap made exact):
//! - **Fixed times** (no `*` in minute and hour, such as `30 2 * * *` or `0 9,17 * * 1-5`)
//!   run once a day each: a time that the clock leaves out runs at the first moment after
//!   the gap, one that comes twice runs the first time. Times that meet in one moment are
//!   one run.
//! - **Patterns with `*`** in minute or hour (`*/15 * * * *`, `0 * * * *`) follow the
//!   clock as it shows: what is left out does not run, what comes twice runs twice, so the
//!   real time between two runs stays the same.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::local_time::moment;

/// A pattern and the place whose clocks it means.
#[derive(Debug, Clone)]
pub struct CronTimes {
    text: String,
    cron: Box<Cron>,
    zone: Tz,
    is_fixed: bool,
}

/// Why a pattern or a place cannot be used. The text goes on after the field's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "must have five fields (minute, hour, day of month, month, day of week), such as `30 2 * * *`, \
         or be one of @hourly, @daily, @weekly, @monthly, @yearly"
    )]
    Fields,
    /// A field says something impossible.
    #[error("is no cron pattern: {0}")]
    Pattern(String),
    /// Every field is right alone, but no date fits.
    #[error("never comes: no date fits it")]
    Never,
    /// No such place.
    #[error(
        "is no time zone of the IANA database: use a name such as Europe/Berlin, America/New_York or UTC"
    )]
    Zone,
}

/// More local times than the longest clock change can make equal or past: two hours of minutes.
const STEPS: usize = 180;

impl CronTimes {
    /// Reads a pattern and the name of a zone. What is wrong with each is told apart.
    ///
    /// # Errors
    /// The pattern's fault, and the zone's.
    pub fn parse(
        pattern: &str,
        zone: &str,
    ) -> Result<Self, (Option<CronError>, Option<CronError>)> {
        let zone = Tz::from_str(zone).map_err(|_| CronError::Zone);
        match (read(pattern), zone) {
            (Ok((cron, is_fixed)), Ok(zone)) => Ok(Self {
                text: pattern.split_whitespace().collect::<Vec<_>>().join(" "),
                cron: Box::new(cron),
                zone,
                is_fixed,
            }),
            (cron, zone) => Err((cron.err(), zone.err())),
        }
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.text
    }

    /// The name of the zone.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first tick after a moment; `None` where there is none in the calendar.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = after.with_timezone(&self.zone);
        if !self.is_fixed {
            let next = self.cron.find_next_occurrence(&local, false).ok()?.to_utc();
            return (next > after).then_some(next);
        }
        // Local times in order give moments in order, so the first that is later is it.
        let mut local = local.naive_local();
        for _ in 0..STEPS {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let moment = moment(self.zone, local)?;
            if moment > after {
                return Some(moment);
            }
        }
        None
    }
}

/// The pattern, and whether it names fixed times.
fn read(text: &str) -> Result<(Cron, bool), CronError> {
    let text = match text.trim().to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *".to_owned(),
        "@daily" | "@midnight" => "0 0 * * *".to_owned(),
        "@weekly" => "0 0 * * 0".to_owned(),
        "@monthly" => "0 0 1 * *".to_owned(),
        "@yearly" | "@annually" => "0 0 1 1 *".to_owned(),
        _ => text.trim().to_owned(),
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, _, _, _] = fields.as_slice() else {
        return Err(CronError::Fields);
    };
    let is_fixed = !minute.contains('*') && !hour.contains('*');
    let cron = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(&text)
        .map_err(|error| CronError::Pattern(plain(&error.to_string())))?;
    // Every date of the calendar is there within 28 years, most leap days within eight.
    let start = NaiveDateTime::default();
    match cron.find_next_occurrence(&start, false) {
        Ok(_) => Ok((cron, is_fixed)),
        Err(_) => Err(CronError::Never),
    }
}

/// The library's words without its own headings.
fn plain(words: &str) -> String {
    let words = words
        .trim_start_matches("Component error: ")
        .trim_start_matches("Invalid pattern: ")
        .trim_start_matches("Pattern contains illegal characters: ");
    words.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
