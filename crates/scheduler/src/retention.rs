//! How long what is past is kept.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ages at which rows are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Jobs that succeeded, were cancelled or discarded. Dead ones wait for a person.
    pub jobs: Duration,
    /// Their arguments, results, positions and log lines.
    pub job_payloads: Duration,
    /// The activity log.
    pub events: Duration,
    /// Single checks of connections.
    pub health_log: Duration,
    /// Counts and response times of checks, hour by hour.
    pub health_rollups: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            jobs: 30 * DAY,
            job_payloads: 30 * DAY,
            events: 90 * DAY,
            health_log: 90 * DAY,
            health_rollups: 400 * DAY,
        }
    }
}
