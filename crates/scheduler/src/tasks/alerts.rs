//! Raises alerts on what is wrong, resolves those whose cause is gone, and forgets those that
//! have been over for as long as the activity log is kept. It looks at the tables that tell
//! of what is wrong, so nothing that failed can be missed; from when on that is an alert, each
//! org says itself. Who watches an org's stream is told to look.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use patchbay_core::{hints::Signal, store::alerts::AlertWalk};

use super::{Duty, DutyError};
use crate::SchedulerDeps;

/// Rows that are forgotten in one run.
const FORGOTTEN: u32 = 1_000;

pub(super) struct Alerts {
    deps: SchedulerDeps,
    walk: AlertWalk,
}

impl Alerts {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self {
            deps: deps.clone(),
            walk: AlertWalk::default(),
        }
    }
}

#[async_trait]
impl Duty for Alerts {
    fn name(&self) -> &'static str {
        "alerts"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let store = &self.deps.store;
        let changed = store.look_for_alerts(&mut self.walk).await?;
        let signals: Vec<Signal> = changed
            .iter()
            .map(|changed| Signal::Alert {
                org: changed.org,
                alert: changed.alert,
            })
            .collect();
        if !signals.is_empty()
            && let Err(away) = self.deps.hints.signal_all(&signals).await
        {
            tracing::debug!(%away, "watchers of alerts see them by the clock");
        }
        let kept =
            TimeDelta::from_std(self.deps.retention.events).unwrap_or(TimeDelta::days(36_500));
        let forgotten = store
            .prune_alerts(self.deps.clock.now() - kept, FORGOTTEN)
            .await?;
        Ok(changed.len() as u64 + forgotten)
    }
}
