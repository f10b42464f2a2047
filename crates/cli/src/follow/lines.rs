//! Plain lines for pipes and logs: one at every change of stage or state, otherwise
//! at most one in five seconds a job.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use patchbay_core::{ids::JobId, job::JobState};

use super::words;
use crate::client::job::Job;

const AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What was printed last of each job.
#[derive(Debug)]
pub struct Lines {
    labels: HashMap<JobId, String>,
    printed: HashMap<JobId, Printed>,
    /// Jobs whose stream broke and has given no picture since: one line says it.
    broken: HashSet<JobId>,
}

#[derive(Debug)]
struct Printed {
    state: JobState,
    stage: String,
    at: Instant,
}

impl Lines {
    /// Lines for these jobs.
    pub fn new(jobs: &[Job]) -> Self {
        Self {
            labels: jobs.iter().map(|job| (job.id, job.label())).collect(),
            printed: HashMap::new(),
            broken: HashSet::new(),
        }
    }

    /// The line that says that a stream broke, once until it works again.
    pub fn broken(&mut self, job: JobId, why: &str) -> Option<String> {
        let label = self.labels.get(&job)?;
        self.broken
            .insert(job)
            .then(|| format!("{label}: {why}; connecting again"))
    }

    /// The line to print now, if this picture deserves one.
    pub fn line(&mut self, job: &Job, now: Instant) -> Option<String> {
        self.broken.remove(&job.id);
        let stage = words::stage(job);
        let is_news = self.printed.get(&job.id).is_none_or(|last| {
            last.state != job.state
                || last.stage != stage
                || now.duration_since(last.at) >= AT_MOST_EVERY
        });
        if !is_news {
            return None;
        }
        self.printed.insert(
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
        let (mut lines, start) = (Lines::new(&[]), Instant::now());
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
    #[test]
    fn a_broken_stream_is_told_once_until_it_works_again() {
        let job = job("running", &picture(1, None));
        let mut lines = Lines::new(std::slice::from_ref(&job));
        assert_eq!(
            lines.broken(job.id, "it broke off").as_deref(),
            Some("catalog: it broke off; connecting again")
        );
        assert_eq!(lines.broken(job.id, "nobody answers"), None);
        lines.line(&job, Instant::now());
        assert!(lines.broken(job.id, "it broke off").is_some());
    }
}
