//! Due health checks make their jobs. A scheduler takes a batch in one transaction and
//! begins again at once after a full one; others take other rows meanwhile.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_core::job::Queue;

use super::{Duty, DutyError, hinting};
use crate::SchedulerDeps;

/// Checks taken in one transaction: ten jobs of one provider.
const BATCH: u32 = 1_000;

pub(super) struct Health {
    deps: SchedulerDeps,
}

impl Health {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self { deps: deps.clone() }
    }
}

#[async_trait]
impl Duty for Health {
    fn name(&self) -> &'static str {
        "health"
    }

    fn every(&self) -> Duration {
        // Longer would make fuller batches of few connections, and checks that come in gusts.
        Duration::from_secs(1)
    }

    fn full_batch(&self) -> Option<u64> {
        Some(u64::from(BATCH))
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let ticked = self.deps.store.tick_checks(BATCH).await?;
        if !ticked.jobs.is_empty() {
            hinting::send(self.deps.hints.push(Queue::Maintenance, &ticked.jobs)).await;
        }
        Ok(ticked.checks)
    }

    async fn behind(&mut self) -> Result<Option<Duration>, DutyError> {
        Ok(Some(self.deps.store.check_lag().await?))
    }
}
