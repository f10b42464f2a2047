//! Bars on a terminal: one line per job, redrawn in place.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use patchbay_core::{ids::JobId, job::JobState};

use super::words;
use crate::client::job::Job;

const SPIN: Duration = Duration::from_millis(100);
// `wide_msg` is cut at the edge of the terminal: a line that wraps would jump at each redraw.
const WITH_TOTAL: &str = "{prefix} {bar:20.cyan/black.bright} {wide_msg}";
const WITHOUT_TOTAL: &str = "{prefix} {spinner:.cyan} {wide_msg}";
const ENDED: &str = "{prefix} {wide_msg}";

/// The bars of the jobs that are followed.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    by_job: HashMap<JobId, ProgressBar>,
}

impl Bars {
    /// A bar per job, names aligned.
    pub fn new(jobs: &[Job]) -> Self {
        let all = MultiProgress::new();
        let width = jobs
            .iter()
            .map(|job| job.label().chars().count())
            .max()
            .unwrap_or(0);
        let by_job = jobs.iter().map(|job| {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style(WITHOUT_TOTAL));
            bar.set_prefix(format!("{:<width$}", job.label()));
            bar.set_message(words::stage(job));
            bar.enable_steady_tick(SPIN);
            (job.id, bar)
        });
        let by_job = by_job.collect();
        Self { all, by_job }
    }

    /// Draws the present picture.
    pub fn show(&self, job: &Job) {
        let Some(bar) = self.by_job.get(&job.id) else {
            return;
        };
        if job.state.is_end() || job.state == JobState::Parked {
            let mark = if job.state == JobState::Succeeded {
                "✔"
            } else {
                "✘"
            };
            let line = words::line(job);
            let line = line
                .split_once(": ")
                .map_or(line.as_str(), |(_, rest)| rest);
            bar.set_style(style(ENDED));
            bar.finish_with_message(format!("{mark} {line}"));
            return;
        }
        let progress = words::progress(job);
        let message = if progress.is_empty() {
            words::stage(job)
        } else {
            format!("{progress}  {}", words::stage(job))
        };
        match job.progress.as_ref().and_then(|progress| progress.total) {
            Some(total) => {
                bar.set_style(style(WITH_TOTAL));
                bar.set_length(total.max(job.done()));
                bar.set_position(job.done());
            }
            None => bar.set_style(style(WITHOUT_TOTAL)),
        }
        bar.set_message(message);
    }

    /// Says on the job's line that its stream is opened again.
    pub fn broken(&self, job: JobId, why: &str) {
        if let Some(bar) = self.by_job.get(&job) {
            bar.set_message(format!(
                "connecting again ({})",
                why.lines().next().unwrap_or_default()
            ));
        }
    }

    /// Leaves the last picture standing.
    pub fn close(self) {
        self.by_job.values().for_each(ProgressBar::abandon);
        drop(self.all);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("our own templates are right")
        .progress_chars("━━╌")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_accepted() {
        for template in [WITH_TOTAL, WITHOUT_TOTAL, ENDED] {
            ProgressStyle::with_template(template).expect(template);
        }
    }
}
