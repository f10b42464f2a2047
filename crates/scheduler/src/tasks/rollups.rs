//! Keeps what checks of connections leave behind small: counts of days that are too old go,
//! and so do batches soon after they are done. (Single checks are counted where they are
//! written, and lines of the health log go with the other retention.)

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use super::{Duty, DutyError};
use crate::SchedulerDeps;

/// A batch that ended well is of interest to whoever looks at this moment. With 200,000
/// connections there are 40 a minute, with their connections in their arguments.
const BATCHES_KEPT: Duration = Duration::from_secs(3600);
/// Rows in one statement, so that its locks are short.
const BATCH: u64 = 1_000;
/// Statements of one kind in one run.
const STATEMENTS: u32 = 50;

pub(super) struct Rollups {
    deps: SchedulerDeps,
}

impl Rollups {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self { deps: deps.clone() }
    }
}

#[async_trait]
impl Duty for Rollups {
    fn name(&self) -> &'static str {
        "rollups"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let store = &self.deps.store;
        let kept = TimeDelta::from_std(self.deps.retention.health_rollups)
            .unwrap_or(TimeDelta::days(36_500));
        let first_day = (self.deps.clock.now() - kept).date_naive();
        let mut gone = 0;
        for _ in 0..STATEMENTS {
            let some = store.prune_health_days(first_day, BATCH).await?;
            gone += some;
            if some < BATCH {
                break;
            }
        }
        for _ in 0..STATEMENTS {
            let some = store.prune_health_batches(BATCHES_KEPT, BATCH).await?;
            gone += some;
            if some < BATCH {
                break;
            }
        }
        Ok(gone)
    }
}
