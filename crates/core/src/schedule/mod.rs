//! When a schedule runs, and what one run of it is. Pure calculation: what is due and
//! what became of it is in [`crate::store::schedules`].
//!
//! A *tick* is the nominal time of a run, the same for everyone who asks; a tick is due a
//! [jitter](jitter::of) later, so that the whole fleet's "every hour" is not one second.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

mod cron;
pub mod jitter;
mod misfire;
mod times;
mod timing;
mod work;

pub use cron::{CronError, CronTimes};
pub use misfire::{ALL_AT_MOST, LATE, Plan, plan};
pub use times::NextTick;
pub use timing::{EveryError, Period, Timing};
pub use work::{Blocked, blocked, job_of};

/// How much of its stream a scheduled sync pulls.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum SchedulePull {
    /// What changed since the last sync.
    #[sea_orm(string_value = "incremental")]
    Incremental,
    /// Everything, so that what is gone is marked deleted.
    #[sea_orm(string_value = "full")]
    Full,
    /// The 24 hours before the tick.
    #[serde(rename = "last_24h")]
    #[sea_orm(string_value = "last_24h")]
    Last24h,
    /// The seven times 24 hours before the tick.
    #[serde(rename = "last_7_days")]
    #[sea_orm(string_value = "last_7_days")]
    Last7Days,
}

/// What becomes of ticks that no scheduler was there for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Misfire {
    /// None of them runs.
    Skip,
    /// The newest of them runs.
    Last,
    /// Each of them runs with a job of its own, the newest [`ALL_AT_MOST`].
    All,
}

/// What became of a tick.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum TickOutcome {
    /// A job of its own.
    Made,
    /// The same work waited already; that job does it.
    Merged,
    /// The same work was running; it runs once more when it ends.
    Again,
    /// No job: the connection, or the stream's capability, is switched off.
    Held,
    /// No job: no scheduler was there in time, and the misfire policy passes it over. One
    /// such tick stands for a whole stretch.
    Skipped,
}

impl TickOutcome {
    /// Whether a job does the tick's work.
    #[must_use]
    pub fn has_job(self) -> bool {
        match self {
            Self::Made | Self::Merged | Self::Again => true,
            Self::Held | Self::Skipped => false,
        }
    }
}
