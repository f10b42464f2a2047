//! Registers a scheduler of its own and renews its lease, so that operators see it and
//! its rescue has a name.

use std::time::Duration;

use async_trait::async_trait;
use patchbay_core::ids::ProcessId;
use tokio::sync::watch;

use super::{Duty, DutyError};
use crate::SchedulerDeps;

pub(super) struct Presence {
    deps: SchedulerDeps,
    host: String,
    me: watch::Sender<Option<ProcessId>>,
}

impl Presence {
    pub(super) fn new(
        deps: &SchedulerDeps,
        host: String,
        me: watch::Sender<Option<ProcessId>>,
    ) -> Self {
        Self {
            deps: deps.clone(),
            host,
            me,
        }
    }
}

#[async_trait]
impl Duty for Presence {
    fn name(&self) -> &'static str {
        "presence"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let jobs = self.deps.store.jobs();
        let known = *self.me.borrow();
        if let Some(me) = known {
            if jobs.renew(me, &[]).await?.alive {
                return Ok(0);
            }
            self.me.send_replace(None);
            return Err(DutyError::Dead);
        }
        let me = ProcessId::new(&*self.deps.clock);
        jobs.register(me, "scheduler", &self.host).await?;
        self.me.send_replace(Some(me));
        Ok(1)
    }
}
