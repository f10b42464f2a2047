//! Arguments of a `sync` job, as the API and the schedulers write them and the worker
//! reads them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::local_time::{Tz, begin_of};

/// How much of a stream a sync asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum PullMode {
    /// What changed since the stream's cursor; everything where there is none.
    Incremental,
    /// What the provider dates between these ends.
    Range {
        /// From this time on, or from the begin of this day.
        from: RangeEnd,
        /// Up to this time, which is not part of it, or up to the end of this day.
        to: RangeEnd,
    },
    /// Everything, a new generation.
    Full,
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RangeEnd {
    /// A time.
    Time(DateTime<Utc>),
    /// A whole day. Where the seller is says when it begins and ends.
    Day(NaiveDate),
}

impl RangeEnd {
    /// Its first moment in a zone; `None` where no calendar has one.
    #[must_use]
    pub fn begin(self, zone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Time(time) => Some(time),
            Self::Day(day) => begin_of(zone, day),
        }
    }

    /// The first moment after it in a zone. That of a time is the time itself.
    #[must_use]
    pub fn end(self, zone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Time(time) => Some(time),
            Self::Day(day) => begin_of(zone, day.succ_opt()?),
        }
    }
}

impl From<DateTime<Utc>> for RangeEnd {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(time)
    }
}

impl std::fmt::Display for RangeEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&time.to_rfc3339()),
            Self::Day(day) => day.fmt(f),
        }
    }
}

/// Which stream, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncArgs {
    /// Key of the stream.
    pub stream: String,
    /// How much of it.
    pub pull: PullMode,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_day_stays_a_day_and_a_time_a_time() {
        let args = json!({ "stream": "sales", "pull": { "mode": "range", "from": "2026-01-01", "to": "2026-01-02T10:00:00Z" } });
        let read: SyncArgs = serde_json::from_value(args.clone()).unwrap();
        let PullMode::Range { from, to } = read.pull else {
            panic!("{read:?}")
        };
        assert_eq!(from, RangeEnd::Day("2026-01-01".parse().unwrap()));
        assert_eq!(to, RangeEnd::Time("2026-01-02T10:00:00Z".parse().unwrap()));
        assert_eq!(serde_json::to_value(&read).unwrap(), args);
    }

    #[test]
    fn a_day_begins_and_ends_where_its_clocks_say() {
        let day = RangeEnd::Day("2026-11-01".parse().unwrap());
        let new_york = Tz::America__New_York;
        assert_eq!(day.begin(new_york), "2026-11-01T04:00:00Z".parse().ok());
        assert_eq!(day.end(new_york), "2026-11-02T05:00:00Z".parse().ok());
    }
}
