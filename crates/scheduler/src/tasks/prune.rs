//! Forgets what is old: ended jobs and what they carried, the activity log, the health
//! log, ticks of schedules, connections that never passed their first test, idempotency
//! keys. How long things are kept is in [`crate::Retention`].

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use patchbay_core::store::StoreError;

use super::{Duty, DutyError};
use crate::SchedulerDeps;

/// A connection that has not passed its first test is given up after this many hours.
const PENDING_HOURS: i64 = 24;
/// The schedule's row remembers its last tick; the line of each is for looking back.
const TICKS_KEPT: Duration = Duration::from_secs(2 * 24 * 3600);
/// Rows in one statement, so that its locks are short.
const BATCH: u64 = 1_000;
/// Batches of one kind in one run: a long backlog takes several, and every kind its turn.
const BATCHES: u32 = 50;

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
        let kept = self.deps.retention;
        let made_before = self.deps.clock.now() - TimeDelta::hours(PENDING_HOURS);
        let pruned = [
            batches(|| store.empty_payloads(kept.job_payloads, BATCH)).await?,
            batches(|| store.jobs().prune(kept.jobs, BATCH)).await?,
            batches(|| store.prune_events(kept.events, BATCH)).await?,
            batches(|| store.prune_health_log(kept.health_log, BATCH)).await?,
            batches(|| store.prune_ticks(TICKS_KEPT, BATCH)).await?,
            batches(|| store.prune_pending(made_before, BATCH)).await?,
            batches(|| store.idempotency_prune(BATCH)).await?,
            batches(|| store.prune_consents(BATCH)).await?,
        ];
        Ok(pruned.iter().sum())
    }
}

async fn batches<F>(mut batch: impl FnMut() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut pruned = 0;
    for _ in 0..BATCHES {
        let some = batch().await?;
        pruned += some;
        if some < BATCH {
            break;
        }
    }
    Ok(pruned)
}
