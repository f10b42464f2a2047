//! Due schedules make their jobs. A scheduler takes a batch in one transaction and begins
//! again at once after a full one; others take other rows meanwhile.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use patchbay_core::{
    hints::{HintsAway, Signal},
    job::Queue,
    store::jobs::Due,
};

use super::{Duty, DutyError, hinting};
use crate::SchedulerDeps;

/// Schedules in one transaction: large enough that its commit costs each of them little,
/// small enough that their rows are held for milliseconds.
const BATCH: u64 = 500;

pub(super) struct Schedules {
    deps: SchedulerDeps,
}

impl Schedules {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self { deps: deps.clone() }
    }

    /// Workers are hinted, and whoever watches these orgs looks again.
    async fn tell(&self, jobs: Vec<(Queue, Due)>) -> Result<(), HintsAway> {
        let signals: Vec<Signal> = jobs
            .iter()
            .map(|(_, due)| Signal::Job {
                org: due.turn,
                job: due.job,
            })
            .collect();
        let mut by_queue: BTreeMap<Queue, Vec<Due>> = BTreeMap::new();
        for (queue, due) in jobs {
            by_queue.entry(queue).or_default().push(due);
        }
        for (queue, due) in by_queue {
            self.deps.hints.push(queue, &due).await?;
        }
        self.deps.hints.signal_all(&signals).await
    }
}

#[async_trait]
impl Duty for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn full_batch(&self) -> Option<u64> {
        Some(BATCH)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let ticked = self.deps.store.tick_schedules(BATCH).await?;
        if !ticked.jobs.is_empty() {
            hinting::send(self.tell(ticked.jobs)).await;
        }
        Ok(ticked.schedules)
    }

    async fn behind(&mut self) -> Result<Option<Duration>, DutyError> {
        Ok(Some(self.deps.store.schedule_lag().await?))
    }
}
