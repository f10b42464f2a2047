//! The sandbox's own time, in whole milliseconds since 1970 UTC, as the providers write it.
//!
//! A test fixes it and moves it on; nothing in this crate asks the system for the time
//! except through here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};

/// Where stamps of changes come from. Clones share one hand.
#[derive(Debug, Clone)]
pub struct Clock {
    fixed_at: Option<i64>,
    moved_by: Arc<AtomicI64>,
}

impl Clock {
    /// Runs with the system's clock (plus what [`Clock::advance_ms`] added).
    #[must_use]
    pub fn system() -> Self {
        Self {
            fixed_at: None,
            moved_by: Arc::default(),
        }
    }

    /// Stands still until moved.
    #[must_use]
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self {
            fixed_at: Some(at.timestamp_millis()),
            moved_by: Arc::default(),
        }
    }

    /// Moves the hand forward; it never goes back.
    pub fn advance_ms(&self, by: u64) {
        let by = i64::try_from(by).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        self.moved_by.fetch_add(by, Ordering::Relaxed);
    }

    /// Milliseconds since 1970 UTC.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the crate's clock; no other is in reach"
    )]
    pub fn now_ms(&self) -> i64 {
        let base = self
            .fixed_at
            .unwrap_or_else(|| Utc::now().timestamp_millis());
        base.saturating_add(self.moved_by.load(Ordering::Relaxed))
    }
}

/// `2026-01-15T12:00:00.000Z`: the way Square writes a time.
pub(crate) fn rfc3339(ms: i64) -> String {
    match Utc.timestamp_millis_opt(ms).single() {
        Some(at) => at.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => "9999-12-31T23:59:59.999Z".to_owned(),
    }
}

/// Milliseconds of an RFC 3339 time, whatever its offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.timestamp_millis())
}
