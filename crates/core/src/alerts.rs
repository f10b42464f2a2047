//! The words of alerts: what they tell of, where they stand, and what a person reads.
//! How they are raised and resolved is in [`crate::store::alerts`].

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use crate::{entities::alert, ids::ConnectionId};

/// What an alert tells of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum AlertKind {
    /// Work with a connection failed as often in a row as the org's limit says, or its checks fail.
    ConnectionFailing,
    /// The provider refused the credential that a person gave.
    CredentialRefused,
    /// The consent has ended.
    ConsentExpired,
    /// Jobs wait in the dead-letter queue.
    DeadJobs,
    /// Ticks of schedules wait for a scheduler.
    SchedulesLate,
    /// A due job waits for a worker.
    QueueOld,
}

/// Where an alert stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum AlertState {
    /// Nobody has taken notice.
    Open,
    /// A person has; the cause is still there.
    Acknowledged,
    /// The cause is gone.
    Resolved,
}

/// What a person reads of a kind of alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// What happened.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub next_action: &'static str,
}

/// From when on something is wrong, and how often an org is told of it. An org sets its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Work with a connection failed so often in a row. Checks that found it failing count as
    /// the three that it takes to find that.
    pub failures_in_a_row: u16,
    /// A tick of a schedule has waited for so long.
    pub schedule_lag: Duration,
    /// A due job has waited for so long.
    pub queue_age: Duration,
    /// A cause that comes back within this time after it was gone is the same alert, and of
    /// one alert there is no second message within it. Is it still there when the period is
    /// over, it is told then.
    pub quiet: Duration,
}

/// Least and most of the numbers of [`Limits`].
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most failures in a row; the least is one.
    pub failures_in_a_row: u16,
    /// Shortest of the times.
    pub shortest: Duration,
    /// Longest of the times.
    pub longest: Duration,
}

/// What limits may say. The tables' checks say it again.
pub const BOUNDS: Bounds = Bounds {
    failures_in_a_row: 100,
    shortest: Duration::from_secs(60),
    longest: Duration::from_secs(7 * 24 * 3600),
};

impl Default for Limits {
    /// The limits of an org that has set none.
    fn default() -> Self {
        Self {
            failures_in_a_row: 3,
            schedule_lag: Duration::from_secs(5 * 60),
            queue_age: Duration::from_secs(5 * 60),
            quiet: Duration::from_secs(30 * 60),
        }
    }
}

impl AlertKind {
    /// The name in the database and in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectionFailing => "connection_failing",
            Self::CredentialRefused => "credential_refused",
            Self::ConsentExpired => "consent_expired",
            Self::DeadJobs => "dead_jobs",
            Self::SchedulesLate => "schedules_late",
            Self::QueueOld => "queue_old",
        }
    }

    /// What tells this cause from the others of an org.
    #[must_use]
    pub fn cause_key(self, connection: Option<ConnectionId>) -> String {
        match connection {
            Some(id) => format!("{}:{id}", self.name()),
            None => self.name().to_owned(),
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn words(self) -> Words {
        match self {
            Self::ConnectionFailing => Words {
                title: "A connection keeps failing",
                meaning: "Work with it failed as often in a row as makes an alert here (the alert limits), or its checks fail. Work that waits is tried again by itself.",
                next_action: "Look at the connection's last error: it says what to do.",
            },
            Self::CredentialRefused => Words {
                title: "A connection's credential was refused",
                meaning: "The provider does not take the credential any more. Work with the connection waits until it has a new one.",
                next_action: "Set a new credential; what waits then goes on by itself.",
            },
            Self::ConsentExpired => Words {
                title: "A connection's consent has ended",
                meaning: "The provider takes back what was granted. Work with the connection waits until it is granted anew.",
                next_action: "Connect the account again; what waits then goes on by itself.",
            },
            Self::DeadJobs => Words {
                title: "Jobs have given up",
                meaning: "They used up their attempts, or ended their process, and are not tried again by themselves.",
                next_action: "Look at the dead jobs; retry them once the cause is gone, or discard them.",
            },
            Self::SchedulesLate => Words {
                title: "Schedules are late",
                meaning: "Syncs that are due have not been asked for: no scheduler runs, or it cannot keep up.",
                next_action: "Look whether a scheduler runs: `patchbay doctor`; of a fleet, `patchbay scheduler status` shows each.",
            },
            Self::QueueOld => Words {
                title: "Jobs wait too long",
                meaning: "Jobs that are due have not been started: no worker serves their queue, or there is more work than it can do.",
                next_action: "Look at the workers: `patchbay doctor`. Start more of them, or give them more slots.",
            },
        }
    }
}

impl alert::Model {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> AlertState {
        match (self.resolved_at, self.acknowledged_at) {
            (Some(_), _) => AlertState::Resolved,
            (None, Some(_)) => AlertState::Acknowledged,
            (None, None) => AlertState::Open,
        }
    }
}
