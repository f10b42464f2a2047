//! Which queued jobs wait for a worker, as SQL. Not every job that is due does: what waits for
//! its turn, or for a process that has nothing else to do, would wait beside any number of idle
//! workers, and who is told to start more of them would be sent the wrong way.

use super::causes::LOOKED_THROUGH;
use crate::job::{CRASHES_TO_RUN_ALONE, Queue};

/// Where queued jobs stand: each has an index of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    InLanes,
}

impl Place {
    pub(super) const ALL: [Self; 2] = [Self::Free, Self::InLanes];

    /// The queued jobs of a queue that stand there, said as their index says it.
    pub(super) fn queued(self, queue: Queue) -> String {
        let lane = match self {
            Self::Free => "lane is null",
            Self::InLanes => "lane is not null",
        };
        format!("state = 'queued' and {lane} and queue = '{}'", queue.name())
    }

    /// Whether of the org `turn` a job that stands there was due before `too_long_ago`, and since
    /// then nothing but a worker was missing.
    ///
    /// Of a lane that is its oldest queued job, while none of the lane runs: the others wait
    /// for their turn, also where the oldest is to run at a later time. How long a lane was
    /// busy is not kept, so a look in the moment between the end of one and the claim of the
    /// next (20 ms under a worker with room) takes the next for one that has waited all along.
    ///
    /// A job that is to run alone ([`CRASHES_TO_RUN_ALONE`]) waits until a process has made room
    /// for it, one such job at a time, and claims pass it by; those behind it in its lane wait
    /// with it. Where no worker is left at all, whatever else is due tells so.
    pub(super) fn waits_too_long(self, queue: Queue, turn: &str, too_long_ago: &str) -> String {
        let of = self.queued(queue);
        let beside_others = format!("run_at < {too_long_ago} and crashes < {CRASHES_TO_RUN_ALONE}");
        match self {
            Self::Free => format!(
                "exists (select 1 from (
                     select run_at, crashes from jobs
                     where {of} and turn = {turn} order by run_at limit {LOOKED_THROUGH}) waiting
                 where {beside_others})"
            ),
            Self::InLanes => format!(
                "exists (select 1 from (
                     select lane, run_at, crashes,
                            row_number() over (partition by lane order by id) as place
                     from (select lane, id, run_at, crashes from jobs
                           where {of} and turn = {turn}
                           order by lane, id limit {LOOKED_THROUGH}) near) waiting
                 where place = 1 and {beside_others}
                   and (select 1 from jobs r
                        where r.lane = waiting.lane and r.state = 'running' limit 1) is null)"
            ),
        }
    }
}
