//! Plain lines for pipes and logs: one at every change of stage or state, otherwise
//! at most one in five seconds a job.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use patchbay_core::{ids::JobId, job::JobState};

use super::words;
use crate::client::job::Job;

const AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What was printed last of each job.
#[derive(Debug, Default)]
pub struct Lines(HashMap<JobId, Printed>);

#[derive(Debug)]
struct Printed {
    state: JobState,
    stage: String,
    at: Instant,
}

impl Lines {
    /// The line to print now, if this picture deserves one.
    pub fn line(&mut self, job: &Job, now: Instant) -> Option<String> {
        let stage = words::stage(job);
        let is_news = self.0.get(&job.id).is_none_or(|last| {
            last.state != job.state
                || last.stage != stage
                || now.duration_since(last.at) >= AT_MOST_EVERY
        });
        if !is_news {
            return None;
        }
        self.0.insert(
            job.id,
            Printed {
                state: job.state,
                stage,
                at: now,
            },
        );
        Some(words::line(job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::words::tests::{job, picture};

    #[test]
    fn a_line_comes_at_a_change_of_stage_and_every_five_seconds() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let mut at = |seconds: u64, state: &str, done: u64| {
            lines
                .line(
                    &job(state, &picture(done, None)),
                    start + Duration::from_secs(seconds),
                )
                .is_some()
        };
        assert!(at(0, "running", 0));
        assert!(!at(1, "running", 100));
        assert!(!at(4, "running", 200));
        assert!(at(5, "running", 300));
        assert!(at(6, "succeeded", 400));
    }
}
