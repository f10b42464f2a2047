//! Step 3: gets jobs for free slots, from hints or straight from the table.

use std::sync::Arc;

use patchbay_core::{
    entities::job::Model as Job,
    hints::{Hints, HintsAway},
    ids::{JobId, OrgId, ProcessId},
    job::Queue,
    store::{Store, jobs::Due},
};

use super::answer::{StatementError, answered};
use crate::alone::Claiming;

/// Where a fetch looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Hints,
    /// One org after the other, beginning after this one.
    Table {
        after: OrgId,
    },
}

/// What a fetch is to get.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) me: ProcessId,
    pub(super) source: Source,
    /// Slots open to every org.
    pub(super) open: usize,
    /// Slots kept for orgs that run nothing here.
    pub(super) kept: usize,
    /// Orgs that run something here.
    pub(super) busy: Vec<OrgId>,
    /// Several orgs were seen waiting lately. If not, and none are seen now, the kept slots
    /// are open too.
    pub(super) crowded: bool,
    /// Wake-ups before this fetch.
    pub(super) wakes: u64,
}

impl Plan {
    pub(super) fn slots(&self) -> usize {
        self.open + self.kept
    }
}

/// What a fetch came to.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) plan: Plan,
    pub(super) jobs: Vec<Job>,
    /// Hints taken; those that gave no job were stale.
    pub(super) hints: usize,
    /// More than one org was seen waiting.
    pub(super) several_wait: bool,
    pub(super) hints_away: Option<HintsAway>,
    pub(super) failed: Option<StatementError>,
    /// Dropped when its jobs stand in the book.
    _claiming: Claiming,
}

pub(super) async fn fetch(
    store: Store,
    hints: Arc<dyn Hints>,
    queue: Queue,
    plan: Plan,
    claiming: Claiming,
) -> Fetched {
    let mut fetched = Fetched {
        plan,
        jobs: Vec::new(),
        hints: 0,
        several_wait: false,
        hints_away: None,
        failed: None,
        _claiming: claiming,
    };
    match fetched.plan.source {
        Source::Hints => fetched.by_hints(&store, &*hints, queue).await,
        Source::Table { after } => fetched.by_table(&store, queue, after).await,
    }
    fetched
}

impl Fetched {
    async fn by_hints(&mut self, store: &Store, hints: &dyn Hints, queue: Queue) {
        let mut due = Vec::new();
        if let Err(away) = self.pop(hints, queue, &mut due).await {
            // What an earlier pop gave is still worth a claim.
            self.hints_away = Some(away);
        }
        self.hints = due.len();
        if due.is_empty() {
            return;
        }
        let ids: Vec<JobId> = due.iter().map(|hint| hint.job).collect();
        match answered(store.jobs().claim(self.plan.me, queue, &ids)).await {
            Ok(jobs) => self.jobs = jobs,
            Err(error) => self.failed = Some(error),
        }
    }

    async fn pop(
        &mut self,
        hints: &dyn Hints,
        queue: Queue,
        due: &mut Vec<Due>,
    ) -> Result<(), HintsAway> {
        if self.plan.open > 0 {
            let popped = hints.pop(queue, self.plan.open, &[]).await?;
            self.several_wait =
                popped.several_wait || of_several(popped.due.iter().map(|hint| hint.turn));
            due.extend(popped.due);
            if due.len() < self.plan.open && !popped.several_wait {
                return Ok(());
            }
        }
        if self.plan.kept > 0 {
            let skip = self.not_for_kept(due.iter().map(|hint| hint.turn));
            let popped = hints.pop(queue, self.plan.kept, &skip).await?;
            self.several_wait |= popped.several_wait;
            due.extend(popped.due);
        }
        Ok(())
    }

    /// Orgs that may not have a kept slot.
    fn not_for_kept(&self, got: impl Iterator<Item = OrgId>) -> Vec<OrgId> {
        if !self.plan.crowded && !self.several_wait {
            return Vec::new();
        }
        let mut skip: Vec<OrgId> = self.plan.busy.iter().copied().chain(got).collect();
        skip.sort_unstable();
        skip.dedup();
        skip
    }

    async fn by_table(&mut self, store: &Store, queue: Queue, after: OrgId) {
        if let Err(error) = self.claim_due(store, queue, after).await {
            self.failed = Some(error);
        }
    }

    async fn claim_due(
        &mut self,
        store: &Store,
        queue: Queue,
        after: OrgId,
    ) -> Result<(), StatementError> {
        if self.plan.open > 0 {
            let claim = (store.jobs()).claim_due(self.plan.me, queue, self.plan.open, after, &[]);
            self.jobs = answered(claim).await?;
            self.several_wait = of_several(self.jobs.iter().map(turn_of));
            if self.jobs.len() < self.plan.open {
                return Ok(());
            }
        }
        if self.plan.kept > 0 {
            let skip = self.not_for_kept(self.jobs.iter().map(turn_of));
            let after = self.jobs.last().map_or(after, turn_of);
            let claim = (store.jobs()).claim_due(self.plan.me, queue, self.plan.kept, after, &skip);
            self.jobs.extend(answered(claim).await?);
            self.several_wait |= of_several(self.jobs.iter().map(turn_of));
        }
        Ok(())
    }
}

fn of_several(mut turns: impl Iterator<Item = OrgId>) -> bool {
    let first = turns.next();
    turns.any(|turn| Some(turn) != first)
}

/// Whose turn a job is.
pub(super) fn turn_of(job: &Job) -> OrgId {
    job.org_id.unwrap_or(OrgId::DEPLOYMENT)
}
