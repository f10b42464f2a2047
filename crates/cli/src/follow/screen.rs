//! Where pictures of jobs go: bars for a person, lines for a pipe, JSON for a program.

use std::time::Instant;

use patchbay_core::ids::JobId;

use super::{bars::Bars, lines::Lines};
use crate::{
    client::job::Job,
    exit::Outcome,
    output::{self, Format},
};

#[derive(Debug)]
pub enum Screen {
    Bars(Bars),
    Lines(Lines),
    /// Nothing while they run: the command prints its one document at the end.
    Quiet,
}

impl Screen {
    pub fn new(format: Format, jobs: &[Job]) -> Self {
        match format {
            Format::Json => Self::Quiet,
            Format::Text if format.is_live() => Self::Bars(Bars::new(jobs)),
            Format::Text => Self::Lines(Lines::new(jobs)),
        }
    }

    pub fn show(&mut self, job: &Job) -> Outcome {
        match self {
            Self::Bars(bars) => bars.show(job),
            Self::Lines(lines) => {
                if let Some(line) = lines.line(job, Instant::now()) {
                    output::say(&line)?;
                }
            }
            Self::Quiet => {}
        }
        Ok(())
    }

    pub fn broken(&mut self, job: JobId, why: &str) {
        match self {
            Self::Bars(bars) => bars.broken(job, why),
            Self::Lines(lines) => {
                if let Some(line) = lines.broken(job, why) {
                    output::complain(&line);
                }
            }
            Self::Quiet => {}
        }
    }

    pub fn close(self) {
        match self {
            Self::Bars(bars) => bars.close(),
            Self::Lines(_) | Self::Quiet => {}
        }
    }
}
