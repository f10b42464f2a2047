//! Writes what the duties of this process did where operators of the fleet look.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_core::ids::ProcessId;
use tokio::sync::watch;

use super::{Duty, DutyError};
use crate::SchedulerDeps;

pub(super) struct Report {
    deps: SchedulerDeps,
    me: watch::Receiver<Option<ProcessId>>,
}

impl Report {
    pub(super) fn new(deps: &SchedulerDeps, me: watch::Receiver<Option<ProcessId>>) -> Self {
        Self {
            deps: deps.clone(),
            me,
        }
    }
}

#[async_trait]
impl Duty for Report {
    fn name(&self) -> &'static str {
        "report"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let Some(me) = *self.me.borrow() else {
            return Ok(0);
        };
        let statuses = self.deps.reports.statuses();
        let count = statuses.len() as u64;
        self.deps.store.report_duties(me, statuses).await?;
        Ok(count)
    }
}
