//! What each duty last did.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// One duty's record.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// When its last run that worked began.
    pub last_success: Option<Instant>,
    /// How much later than planned the last run began.
    pub lag: Duration,
    /// How long the last run took.
    pub took: Duration,
    /// Rows, hints or jobs its runs dealt with in all.
    pub done: u64,
    /// Runs that failed in all.
    pub errors: u64,
    /// What the last run failed with, if it did.
    pub last_error: Option<String>,
}

/// The records of all duties, by name.
#[derive(Debug, Default)]
pub struct Reports(Mutex<BTreeMap<&'static str, Report>>);

impl Reports {
    /// The records as they are now.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Report> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the duty's previous run had failed.
    pub(crate) fn note(
        &self,
        duty: &'static str,
        began: Instant,
        lag: Duration,
        outcome: &Result<u64, String>,
    ) -> bool {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let report = reports.entry(duty).or_default();
        let had_failed = report.last_error.is_some();
        report.lag = lag;
        report.took = began.elapsed();
        match outcome {
            Ok(done) => {
                report.last_success = Some(began);
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
}
