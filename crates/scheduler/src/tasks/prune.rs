//! Forgets what is old: ended jobs, connections that never passed their first test,
//! idempotency keys.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use patchbay_core::store::StoreError;

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
        let made_before = self.deps.clock.now() - TimeDelta::hours(PENDING_HOURS);
        let jobs = to_the_last(|| store.jobs().prune(JOBS_KEPT, BATCH)).await?;
        let connections = to_the_last(|| store.prune_pending(made_before, BATCH)).await?;
        let keys = to_the_last(|| store.idempotency_prune(BATCH)).await?;
        Ok(jobs + connections + keys)
    }
}

async fn to_the_last<F>(mut batch: impl FnMut() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut pruned = 0;
    loop {
        let some = batch().await?;
        pruned += some;
        if some < BATCH {
            return Ok(pruned);
        }
    }
}
