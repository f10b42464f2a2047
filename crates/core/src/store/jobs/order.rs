//! Ids of jobs made by this process, in the order they were asked for. The oldest of
//! a lane goes first by id, so two jobs of one millisecond must not swap places.

use std::sync::{Mutex, PoisonError};

use uuid::{Timestamp, Uuid, timestamp::context::ContextV7};

use crate::{clock::Clock, ids::JobId, job::NewJob};

/// Makes ids that grow, also within a millisecond (RFC 9562, section 6.2, method 1).
#[derive(Debug)]
pub(super) struct GrowingIds(Mutex<ContextV7>);

impl GrowingIds {
    pub(super) fn new() -> Self {
        Self(Mutex::new(ContextV7::new()))
    }

    /// The ids of new jobs: their own where they bring one, else fresh.
    pub(super) fn of(&self, clock: &dyn Clock, jobs: &[NewJob]) -> Vec<JobId> {
        let fresh = self.take(clock, jobs.len());
        jobs.iter()
            .zip(fresh)
            .map(|(job, fresh)| job.id.unwrap_or(fresh))
            .collect()
    }

    /// `count` ids that carry the clock's present time, each greater than the one before.
    pub(super) fn take(&self, clock: &dyn Clock, count: usize) -> Vec<JobId> {
        let now = clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        // The counter is valid at any moment, also after a panic elsewhere.
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (0..count)
            .map(|_| {
                let at = Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos());
                JobId(Uuid::new_v7(at))
            })
            .collect()
    }
}
