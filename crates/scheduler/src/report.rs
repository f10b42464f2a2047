//! What each duty last did.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use patchbay_core::store::duties::DutyStatus;

/// One duty's record.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// When its last run began.
    pub last_run_at: Option<DateTime<Utc>>,
    /// When its last run that worked began.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The same by a clock that never jumps.
    pub last_success: Option<Instant>,
    /// How much later than planned the last run began.
    pub late: Duration,
    /// How long the last run took.
    pub took: Duration,
    /// How long the oldest row that is due for it had waited when it last looked.
    pub behind: Option<Duration>,
    /// Runs in all.
    pub runs: u64,
    /// Rows, hints or jobs its runs dealt with in all.
    pub done: u64,
    /// Runs that failed in all.
    pub errors: u64,
    /// What the last run failed with, if it did.
    pub last_error: Option<String>,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) duty: &'static str,
    pub(crate) began: Instant,
    pub(crate) began_at: DateTime<Utc>,
    pub(crate) late: Duration,
    pub(crate) outcome: Result<u64, String>,
}

/// The records of all duties, by name.
#[derive(Debug, Default)]
pub struct Reports(Mutex<BTreeMap<&'static str, Report>>);

impl Reports {
    /// The records as they are now.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Report> {
        self.records().clone()
    }

    /// The same as operators read them, of the duties that ran.
    #[must_use]
    pub fn statuses(&self) -> Vec<DutyStatus> {
        let records = self.all();
        let of = |(duty, report): (&'static str, Report)| {
            Some(DutyStatus {
                duty: duty.to_owned(),
                last_run_at: report.last_run_at?,
                last_success_at: report.last_success_at,
                took: report.took,
                late: report.late,
                behind: report.behind,
                runs: report.runs,
                done: report.done,
                errors: report.errors,
                last_error: report.last_error,
            })
        };
        records.into_iter().filter_map(of).collect()
    }

    /// Whether the duty's previous run had failed.
    pub(crate) fn note(&self, ended: &Ended) -> bool {
        let mut records = self.records();
        let report = records.entry(ended.duty).or_default();
        let had_failed = report.last_error.is_some();
        report.last_run_at = Some(ended.began_at);
        report.late = ended.late;
        report.took = ended.began.elapsed();
        report.runs += 1;
        match &ended.outcome {
            Ok(done) => {
                report.last_success = Some(ended.began);
                report.last_success_at = Some(ended.began_at);
                report.done += done;
                report.last_error = None;
            }
            Err(error) => {
                report.errors += 1;
                report.last_error = Some(error.clone());
            }
        }
        had_failed
    }

    /// How far behind a duty is; `None` where it could not look.
    pub(crate) fn note_behind(&self, duty: &'static str, behind: Option<Duration>) {
        self.records().entry(duty).or_default().behind = behind;
    }

    fn records(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
