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
    let before = |length| PullMode::Range {
        from: at - length,
        to: at,
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

/// Why no job is made now, in words; `None` where one is. A broken connection gets its
/// job: it parks, later ticks merge with it, and it runs once the connection works again.
#[must_use]
pub fn blocked(
    schedule: &Schedule,
    status: ConnectionStatus,
    capabilities_off: &Value,
) -> Option<String> {
    let words = match status {
        ConnectionStatus::Pending => {
            "the connection has not passed its first test, so no sync is started"
        }
        ConnectionStatus::Disabled => "the connection is switched off, so no sync is started",
        ConnectionStatus::Disconnected => "the connection is disconnected",
        ConnectionStatus::Active | ConnectionStatus::Error | ConnectionStatus::Expired => {
            let off = capabilities_off.as_array().into_iter().flatten();
            let is_off = off
                .filter_map(Value::as_str)
                .any(|capability| capability == schedule.capability);
            return is_off.then(|| {
                format!(
                    "the capability {} is switched off for this connection, so no sync is started",
                    schedule.capability
                )
            });
        }
    };
    Some(words.to_owned())
}
