//! Limits per hour and per day that a person sets for a connection. What is used of them is
//! counted in [`crate::store::quotas`].

use crate::entities::quota::Span;

/// How much a connection may do; `None`: as much as it likes, which is counted all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Within an hour.
    pub hour: Option<u32>,
    /// Within a day.
    pub day: Option<u32>,
}

impl Limits {
    /// Of one window.
    #[must_use]
    pub fn of(self, span: Span) -> Option<u32> {
        match span {
            Span::Hour => self.hour,
            Span::Day => self.day,
        }
    }
}
