//! Forgets what is old: ended jobs, connections that never passed their first test.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use super::{Duty, DutyError};
use crate::SchedulerDeps;

/// Ended jobs are kept this long for people to look at.
const JOBS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// A connection that has not passed its first test is given up after this many hours.
const PENDING_HOURS: i64 = 24;
/// Rows in one statement, so that its locks are short.
const BATCH: u64 = 1_000;

pub(super) struct Prune {
    deps: SchedulerDeps,
}

impl Prune {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self { deps: deps.clone() }
    }
}

#[async_trait]
impl Duty for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let store = &self.deps.store;
        let mut pruned = 0;
        loop {
            let jobs = store.jobs().prune(JOBS_KEPT, BATCH).await?;
            pruned += jobs;
            if jobs < BATCH {
                break;
            }
        }
        let made_before = self.deps.clock.now() - TimeDelta::hours(PENDING_HOURS);
        loop {
            let connections = store.prune_pending(made_before, BATCH).await?;
            pruned += connections;
            if connections < BATCH {
                break;
            }
        }
        Ok(pruned)
    }
}
