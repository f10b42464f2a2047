//! What dead processes held is taken back: who is charged, who is set aside.

use std::collections::BTreeSet;

use patchbay_core::{
    ids::{JobId, ProcessId},
    job::{CRASHES_TO_QUARANTINE, CRASHES_TO_RUN_ALONE, JobState},
};

use super::table::{GRACE, Row, Table, Time};

impl Table {
    /// Requeued, quarantined, and the successors' rows.
    pub fn rescue(&mut self, me: ProcessId) -> (Vec<JobId>, Vec<JobId>, Vec<Row>) {
        let now = self.now;
        let expired = |until: Option<Time>| until.is_some_and(|until| until <= now);
        let dead: BTreeSet<ProcessId> = self
            .processes
            .iter()
            .filter(|(id, until)| **id != me && expired(**until))
            .map(|(id, _)| *id)
            .collect();
        let jobs_of = |process| {
            let held = |row: &&Row| row.leased_by == Some(process);
            self.jobs.values().filter(held).count()
        };
        let with_one: BTreeSet<ProcessId> = dead
            .iter()
            .copied()
            .filter(|process| jobs_of(*process) == 1)
            .collect();
        for process in &dead {
            self.end(*process);
        }
        let (mut requeued, mut quarantined, mut successors) = (vec![], vec![], vec![]);
        for (id, row) in &mut self.jobs {
            let Some(process) = row.leased_by else {
                continue;
            };
            let overdue = row.deadline.is_some_and(|deadline| deadline < now - GRACE);
            let charged = if dead.contains(&process) {
                row.crashes < CRASHES_TO_RUN_ALONE || with_one.contains(&process)
            } else if overdue {
                true
            } else {
                continue;
            };
            row.crashes += i32::from(charged);
            row.run_at = now;
            if charged && row.crashes >= CRASHES_TO_QUARANTINE {
                row.leave_running(JobState::Quarantined);
                row.finished_at = Some(now);
                row.has_error = true;
                quarantined.push(*id);
                successors.extend(row.again.then(|| row.successor(now)));
            } else {
                row.leave_running(JobState::Queued);
                requeued.push(*id);
            }
        }
        (requeued, quarantined, successors)
    }
}
