//! What fair means when jobs are claimed straight from the table.
//!
//! Orgs take turns, beginning after the one named and going round, lap after lap, until the
//! claim is full or a whole lap gave nothing. At its turn an org starts the first of its jobs
//! (longest due, then oldest) that may run at that moment: queued, due, head of a free lane,
//! and no suspect where the process runs one, be it since an earlier turn of the same claim.
//!
//! So a suspect takes up a turn only by starting to run. Where it may not, its org goes on
//! with its next job, and is passed over only when it has none: with nothing but suspects,
//! one claim later is its next chance. One that is to run alone has no turn (`alone`).

use std::collections::{BTreeMap, BTreeSet};

use patchbay_core::{
    ids::{JobId, OrgId, ProcessId},
    job::{CRASHES_TO_RUN_ALONE, Queue},
};

use super::{
    run::{Both, Checked, choose, same},
    table::Table,
};

impl Table {
    fn may_run_under(&self, process: ProcessId, id: JobId) -> bool {
        let crashes = self.jobs[&id].crashes;
        let is_ours = crashes == 0 || !self.holds_suspect(process);
        self.may_run(id) && is_ours && crashes < CRASHES_TO_RUN_ALONE
    }

    /// The job that an org starts at its turn.
    fn next_of(&self, org: OrgId, process: ProcessId) -> Option<JobId> {
        let may = self
            .jobs
            .iter()
            .filter(|(id, row)| row.org == org && self.may_run_under(process, **id));
        may.min_by_key(|(id, row)| (row.run_at, **id))
            .map(|(id, _)| *id)
    }

    /// Starts at most `limit` jobs, in the turns of these orgs.
    fn claim_in_turns(&mut self, process: ProcessId, limit: usize, turns: &[OrgId]) -> Vec<JobId> {
        let mut claimed = Vec::new();
        while claimed.len() < limit && self.may_claim(process) {
            let before = claimed.len();
            for org in turns {
                if claimed.len() == limit {
                    break;
                }
                if let Some(id) = self.next_of(*org, process) {
                    self.start(process, id);
                    claimed.push(id);
                }
            }
            if claimed.len() == before {
                break;
            }
        }
        claimed
    }
}

impl Both {
    pub(super) async fn claim_due(
        &mut self,
        process: u8,
        limit: u8,
        after: u8,
        skip: Option<u8>,
    ) -> Checked {
        let process = self.process(process);
        let after = choose(&self.orgs, after).unwrap();
        let skip = skip.and_then(|org| choose(&self.orgs, org));
        let limit = usize::from(limit);
        let claimed = self
            .stage
            .jobs()
            .claim_due(process, Queue::Sync, limit, after, skip.as_slice())
            .await
            .unwrap();
        let mut turns = self.orgs.clone();
        turns.retain(|org| Some(*org) != skip);
        turns.sort_by_key(|org| (*org <= after, *org));
        let of_turns = |(_, row): &(&JobId, &super::table::Row)| turns.contains(&row.org);
        let all: BTreeSet<JobId> = (self.table.jobs.iter().filter(of_turns))
            .map(|(id, _)| *id)
            .collect();
        let most = self.table.claimable(process, &all).len().min(limit);
        let expected = self.table.claim_in_turns(process, limit, &turns);
        same!(
            claimed.iter().map(|job| job.id).collect::<Vec<_>>(),
            expected,
            "claimed directly"
        );
        self.hold(process, &claimed);
        same!(claimed.len(), most, "number claimed directly");
        self.check_shares(process, &expected, &turns)
    }

    /// The definition's own proof: who has a job left that could run got at most one less
    /// than who got most.
    fn check_shares(&self, process: ProcessId, claimed: &[JobId], turns: &[OrgId]) -> Checked {
        let mut share: BTreeMap<OrgId, usize> = turns.iter().map(|org| (*org, 0)).collect();
        for id in claimed {
            *share.get_mut(&self.table.jobs[id].org).unwrap() += 1;
        }
        let most = share.values().max().copied().unwrap_or(0);
        for (org, got) in &share {
            let left = self.table.may_claim(process) && self.table.next_of(*org, process).is_some();
            if left && got + 1 < most {
                return Err(format!("org {org} got {got} of {share:?} and has more"));
            }
        }
        Ok(())
    }
}
