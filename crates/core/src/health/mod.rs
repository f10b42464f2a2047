//! What checks of a connection come to: the health that people see, and the numbers over
//! hours and days. Pure: bytes and values in, bytes and values out. What is stored, and
//! when, is in [`crate::store::health`].
//!
//! A million connections checked every five minutes are 3,300 checks a second. So a check
//! that passes writes one narrow row: counts of the hour and the last few checks, packed
//! ([`open::Open`]). Every sixteenth check that is emptied into the counts of the day
//! ([`day::Day`], one row a connection and day) and the ring of the last hundred
//! ([`ring`]). Checks that failed, changed the health or were asked for by a person have a
//! line of their own in the health log.

pub mod day;
pub mod judgement;
pub mod latency;
pub mod open;
pub mod ring;
pub mod shown;
pub mod tally;
mod varint;
pub mod window;

use crate::failure::FailureKind;

/// What a check says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Passed,
    /// It does not.
    Failed,
    /// "Later" says nothing: the check counts neither way.
    Undecided,
}

impl Verdict {
    /// What an outcome says.
    #[must_use]
    pub fn of(failure: Option<FailureKind>) -> Self {
        match failure {
            None => Self::Passed,
            Some(FailureKind::RateLimited) => Self::Undecided,
            Some(_) => Self::Failed,
        }
    }
}

/// Hours since 1970, which number the hours of a day from 0 in UTC.
#[must_use]
pub fn hour_of(at: chrono::DateTime<chrono::Utc>) -> i64 {
    at.timestamp().div_euclid(3600)
}
