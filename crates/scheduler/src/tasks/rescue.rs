//! Takes back the jobs of dead processes (docs/job-states.md, step 8). A scheduler that
//! was itself held up, or just began, cannot tell a dead process from an outage that
//! held up everyone: it waits one full lease first.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use patchbay_core::{
    hints::{HintsAway, Signal},
    ids::{JobId, OrgId, ProcessId},
    job::Queue,
    store::{
        StoreError,
        jobs::{Due, LEASE, Rescued},
    },
};
use tokio::sync::watch;

use super::{Duty, DutyError};
use crate::SchedulerDeps;

/// A gap between two looks longer than this means: held up.
const HELD_UP: Duration = Duration::from_secs(2);

pub(super) struct Rescue {
    deps: SchedulerDeps,
    me: watch::Receiver<Option<ProcessId>>,
    patience: Patience,
}

impl Rescue {
    pub(super) fn new(deps: &SchedulerDeps, me: watch::Receiver<Option<ProcessId>>) -> Self {
        Self {
            deps: deps.clone(),
            me,
            patience: Patience::default(),
        }
    }

    async fn hint(
        &self,
        due: &BTreeMap<Queue, Vec<Due>>,
        signals: &[Signal],
    ) -> Result<(), HintsAway> {
        for (queue, due) in due {
            self.deps.hints.push(*queue, due).await?;
        }
        self.deps.hints.signal_all(signals).await
    }

    /// What was taken back stays taken back, and its hints are due, if this fails.
    async fn note(&self, rescued: &Rescued) {
        for job in &rescued.quarantined {
            if let Err(error) = self.deps.store.note_quarantine(*job).await {
                tracing::warn!(%error, %job, "a quarantine could not be noted on its connection");
            }
        }
    }

    /// Workers are hinted, and whoever watches these jobs looks again.
    async fn tell(&self, rescued: &Rescued) -> Result<(), StoreError> {
        let ids: Vec<JobId> = rescued
            .requeued
            .iter()
            .chain(&rescued.quarantined)
            .copied()
            .collect();
        let mut signals = Vec::new();
        let mut due: BTreeMap<Queue, Vec<Due>> = BTreeMap::new();
        for job in self.deps.store.job_pictures(&ids).await? {
            if rescued.requeued.contains(&job.id) {
                let turn = job.org_id.unwrap_or(OrgId::DEPLOYMENT);
                due.entry(job.queue)
                    .or_default()
                    .push(Due { job: job.id, turn });
            }
            let Some(org) = job.org_id else { continue };
            signals.push(Signal::Job { org, job: job.id });
            let set_aside = rescued.quarantined.contains(&job.id);
            if let Some(connection) = job.connection_id.filter(|_| set_aside) {
                signals.push(Signal::Connection { org, connection });
            }
        }
        if let Err(away) = self.hint(&due, &signals).await {
            tracing::debug!(%away, "hints and signals not sent");
        }
        Ok(())
    }
}

#[async_trait]
impl Duty for Rescue {
    fn name(&self) -> &'static str {
        "rescue"
    }

    fn every(&self) -> Duration {
        // What a look costs is nothing beside what jobs of a dead process wait anyway.
        Duration::from_millis(250)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        let Some(me) = *self.me.borrow() else {
            return Ok(0);
        };
        // On SQLite the lock on the data folder proves who is dead; nobody has to wait.
        let proven = self.deps.store.is_one_process();
        // An answer of the database first: silence until now was an outage.
        self.deps.store.jobs().now().await?;
        if !self.patience.may_judge(Instant::now()) && !proven {
            return Ok(0);
        }
        let rescued = self.deps.store.jobs().rescue(me).await?;
        let count = rescued.requeued.len() + rescued.quarantined.len();
        if count > 0 {
            tracing::warn!(
                requeued = rescued.requeued.len(),
                quarantined = rescued.quarantined.len(),
                "jobs of dead processes were taken back"
            );
            // Who waits for a connection's row keeps nobody from the jobs.
            let told = self.tell(&rescued).await;
            self.note(&rescued).await;
            told?;
        }
        Ok(count as u64)
    }

    async fn behind(&mut self) -> Result<Option<Duration>, DutyError> {
        Ok(Some(self.deps.store.rescue_lag().await?))
    }
}

/// When this scheduler may call a process dead.
#[derive(Debug, Default)]
struct Patience {
    last_look: Option<Instant>,
    judge_from: Option<Instant>,
}

impl Patience {
    /// Called when the database has answered.
    fn may_judge(&mut self, now: Instant) -> bool {
        if self.last_look.is_none_or(|last| now - last > HELD_UP) {
            self.judge_from = Some(now + LEASE);
        }
        self.last_look = Some(now);
        self.judge_from.is_none_or(|from| now >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_that_began_or_was_held_up_waits_a_lease_before_it_judges() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut patience = Patience::default();
        let judged: Vec<bool> = (0..10)
            .map(|second| patience.may_judge(at(second)))
            .collect();
        assert_eq!(
            judged,
            [
                false, false, false, false, false, false, true, true, true, true
            ]
        );
        assert!(!patience.may_judge(at(12)), "held up for three seconds");
        for second in 13..18 {
            assert!(!patience.may_judge(at(second)));
        }
        assert!(patience.may_judge(at(18)));
    }
}
