//! Steps of a job that is to run alone.

use patchbay_core::{
    ids::{JobId, ProcessId},
    job::{CRASHES_TO_RUN_ALONE, JobState, Queue},
};

use super::{
    run::{Both, Checked, same},
    table::Table,
};

impl Table {
    fn is_for_alone(&self, id: JobId) -> bool {
        self.may_run(id) && self.jobs[&id].crashes >= CRASHES_TO_RUN_ALONE
    }

    fn runs_alone(&self, process: ProcessId, id: JobId) -> bool {
        let row = &self.jobs[&id];
        row.leased_by == Some(process)
            && row.state == JobState::Running
            && row.crashes >= CRASHES_TO_RUN_ALONE
    }

    /// What the process is to make room for.
    fn make_room(&mut self, process: ProcessId) -> Option<JobId> {
        if !self.is_alive(process) {
            return None;
        }
        let had = self.alone_with.remove(&process);
        let stands = had.filter(|id| self.runs_alone(process, *id) || self.is_for_alone(*id));
        let taken = |id: &JobId| self.alone_with.values().any(|other| other == id);
        let waiting = self.jobs.iter();
        let longest = waiting
            .filter(|(id, _)| self.is_for_alone(**id) && !taken(id))
            .min_by_key(|(id, row)| (row.run_at, **id))
            .map(|(id, _)| *id);
        let living = self.processes.keys().filter(|id| self.is_alive(**id));
        let making_room = (self.alone_with.keys()).filter(|id| self.is_alive(**id));
        let room_left = 2 * making_room.count() < living.count();
        let job = stands.or(longest.filter(|_| room_left));
        self.alone_with.extend(job.map(|job| (process, job)));
        job
    }

    fn claim_alone(&mut self, process: ProcessId) -> Option<JobId> {
        let job = *self.alone_with.get(&process)?;
        let holds_any = (self.jobs.values()).any(|row| row.leased_by == Some(process));
        let may = self.is_alive(process) && self.is_for_alone(job) && !holds_any;
        may.then(|| self.start(process, job));
        may.then_some(job)
    }

    /// A process that has ended makes room for nothing.
    pub fn end(&mut self, process: ProcessId) {
        self.processes.insert(process, None);
        self.alone_with.remove(&process);
    }
}

impl Both {
    pub(super) async fn alone(&mut self, process: u8) -> Checked {
        let process = self.process(process);
        let room = self.stage.jobs().make_room(process, &[Queue::Sync]);
        same!(
            room.await.unwrap(),
            self.table.make_room(process),
            "room for"
        );
        let claim = self.stage.jobs().claim_alone(process, &[Queue::Sync]);
        let claimed = claim.await.unwrap();
        same!(
            claimed.as_ref().map(|job| job.id),
            self.table.claim_alone(process),
            "claimed alone"
        );
        self.hold(process, claimed.as_slice());
        Ok(())
    }

    pub(super) async fn leave_room(&mut self, process: u8) -> Checked {
        let process = self.process(process);
        self.stage.jobs().leave_room(process).await.unwrap();
        self.table.alone_with.remove(&process);
        Ok(())
    }
}
