//! What one run of a schedule does: a sync job, the same that a person would ask for.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Misfire, SchedulePull};
use crate::{
    connection::ConnectionStatus,
    entities::schedule::Model as Schedule,
    job::{JobKind, NewJob, Queue},
    sync_args::{PullMode, SyncArgs},
};

/// The job of a run at this time. It merges with a waiting job that does the same, a
/// person's too; `own`: with none of another tick.
#[must_use]
pub fn job_of(schedule: &Schedule, at: DateTime<Utc>, own: bool, requested_by: String) -> NewJob {
    let before = |length: TimeDelta| PullMode::Range {
        from: (at - length).into(),
        to: at.into(),
    };
    let (pull, name) = match schedule.pull {
        SchedulePull::Incremental => (PullMode::Incremental, "incremental"),
        SchedulePull::Full => (PullMode::Full, "full"),
        SchedulePull::Last24h => (before(TimeDelta::hours(24)), "range:last_24h"),
        SchedulePull::Last7Days => (before(TimeDelta::days(7)), "range:last_7_days"),
    };
    let args = SyncArgs {
        stream: schedule.stream.clone(),
        pull,
    };
    let (connection, stream) = (schedule.connection_id, &schedule.stream);
    let mut dedupe_key = format!("{connection}:{stream}:{name}");
    if own {
        dedupe_key = format!("{dedupe_key}:{}:{}", schedule.id, at.timestamp());
    }
    NewJob {
        connection: Some(connection),
        lane: Some(format!("{connection}:{stream}")),
        args: serde_json::to_value(args).expect("texts and times are JSON"),
        dedupe_key: Some(dedupe_key),
        ..NewJob::new(
            Some(schedule.org_id),
            JobKind::Sync,
            Queue::Sync,
            requested_by,
        )
    }
}

impl Schedule {
    /// Whether each tick of it has a job of its own. Not while its connection is broken:
    /// its jobs park, and one that waits is enough to catch up.
    #[must_use]
    pub fn has_own_jobs(&self, status: ConnectionStatus) -> bool {
        self.misfire == Misfire::All && status == ConnectionStatus::Active
    }
}

/// Why no job is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// The connection never passed a test.
    Untested,
    /// A person switched the connection off.
    SwitchedOff,
    /// The connection is disconnected.
    Disconnected,
    /// The stream's capability is switched off.
    CapabilityOff,
}

impl Blocked {
    /// What is the matter and what to do, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Untested => {
                "The connection is pending: its credential has not passed a test yet, so no sync is started. \
                 Wait for the test's job, or send another credential."
            }
            Self::SwitchedOff => {
                "The connection is disabled, so no sync is started. Enable it, and its schedules run again."
            }
            Self::Disconnected => {
                "The connection is disconnected: its credential is gone, its records stay readable."
            }
            Self::CapabilityOff => {
                "The stream's capability is switched off for this connection, so no sync is started. \
                 Switch it on, and the schedule runs again."
            }
        }
    }
}

/// Why a schedule makes no job now; `None` where it makes one. A broken connection gets its
/// job: it parks, later ticks merge with it, and it runs once the connection works again.
#[must_use]
pub fn blocked(
    schedule: &Schedule,
    status: ConnectionStatus,
    capabilities_off: &Value,
) -> Option<Blocked> {
    match status {
        ConnectionStatus::Pending => Some(Blocked::Untested),
        ConnectionStatus::Disabled => Some(Blocked::SwitchedOff),
        ConnectionStatus::Disconnected => Some(Blocked::Disconnected),
        ConnectionStatus::Active | ConnectionStatus::Error | ConnectionStatus::Expired => {
            let off = capabilities_off.as_array().into_iter().flatten();
            let is_off = off
                .filter_map(Value::as_str)
                .any(|capability| capability == schedule.capability);
            is_off.then_some(Blocked::CapabilityOff)
        }
    }
}
