//! Hints for due jobs that have none: new ones whose hint was lost or did not fit,
//! retries and snoozed ones whose time has come. It reports no lag: see `store/duties/lag.rs`.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use patchbay_core::{hints::HINTS_PER_TURN, ids::OrgId, job::Queue, store::jobs::Due};

use super::{Duty, DutyError};
use crate::SchedulerDeps;

/// Hints made in one run for a queue. With five runs a second this is 10,000 a second;
/// where more is due, workers find empty lists and claim from the table.
const A_RUN: usize = 2_000;
/// Of one org, so that a large backlog leaves room for others in the same run.
const OF_ONE_ORG: usize = HINTS_PER_TURN / 2;

pub(super) struct TopUp {
    deps: SchedulerDeps,
    /// After whom the next run begins, so that every org gets its turn.
    after: BTreeMap<Queue, OrgId>,
}

impl TopUp {
    pub(super) fn new(deps: &SchedulerDeps) -> Self {
        Self {
            deps: deps.clone(),
            after: BTreeMap::new(),
        }
    }

    async fn queue(&mut self, queue: Queue) -> Result<u64, DutyError> {
        let after = self.after.get(&queue).copied().unwrap_or(OrgId::DEPLOYMENT);
        let due = self
            .deps
            .store
            .jobs()
            .due(queue, OF_ONE_ORG, A_RUN, after)
            .await?;
        let Some(last) = due.last() else { return Ok(0) };
        self.after.insert(queue, last.turn);
        let mut by_org: BTreeMap<OrgId, Vec<Due>> = BTreeMap::new();
        for hint in due {
            by_org.entry(hint.turn).or_default().push(hint);
        }
        let orgs: Vec<OrgId> = by_org.keys().copied().collect();
        let depths = self.deps.hints.depth(queue, &orgs).await?;
        // A list that holds as many as are due very likely holds these.
        let wanted: Vec<Due> = by_org
            .into_values()
            .zip(depths)
            .filter(|(due, depth)| *depth < due.len())
            .flat_map(|(due, _)| due)
            .collect();
        if !wanted.is_empty() {
            self.deps.hints.push(queue, &wanted).await?;
        }
        Ok(wanted.len() as u64)
    }
}

#[async_trait]
impl Duty for TopUp {
    fn name(&self) -> &'static str {
        "top_up"
    }

    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    async fn run(&mut self) -> Result<u64, DutyError> {
        // Without hints workers read the table themselves.
        self.deps.hints.ping().await?;
        let mut hinted = 0;
        for queue in Queue::ALL {
            hinted += self.queue(queue).await?;
        }
        Ok(hinted)
    }
}
