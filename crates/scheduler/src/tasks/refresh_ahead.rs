//! Has grants refreshed ahead of their end, each at a time of its own.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_core::{
    job::Queue,
    store::{StoreError, jobs::Due},
};

use super::{Duty, DutyError, hinting};
use crate::SchedulerDeps;

/// Rows in one transaction, so that its locks are short.
const BATCH: u64 = 500;

pub(super) struct RefreshAhead {
    deps: SchedulerDeps,
}

impl RefreshAhead {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self { deps: deps.clone() }
    }

    async fn batch(&self) -> Result<u64, DutyError> {
        let store = &self.deps.store;
        let tx = store.begin().await?;
        let due = store.take_due_refreshes(&tx, BATCH).await?;
        let jobs = due.iter().map(|due| due.job()).collect();
        let enqueued = store.jobs().enqueue(&tx, jobs).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let hints: Vec<Due> = enqueued
            .iter()
            .zip(&due)
            .map(|(enqueued, due)| Due {
                job: enqueued.job().id,
                turn: due.org,
            })
            .collect();
        if !hints.is_empty() {
            hinting::send(self.deps.hints.push(Queue::Maintenance, &hints)).await;
        }
        Ok(due.len() as u64)
    }
}

#[async_trait]
impl Duty for RefreshAhead {
    fn name(&self) -> &'static str {
        "refresh_ahead"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn full_batch(&self) -> Option<u64> {
        Some(BATCH)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        self.batch().await
    }

    async fn behind(&mut self) -> Result<Option<Duration>, DutyError> {
        Ok(Some(self.deps.store.refresh_lag().await?))
    }
}
