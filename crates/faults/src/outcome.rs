//! What a fault came to, and the table of all.

use std::time::{Duration, Instant};

use crate::{findings::Findings, stage::Stage};

/// One fault's outcome.
#[derive(Debug)]
pub struct Outcome {
    pub fault: &'static str,
    /// How often it was done.
    pub injections: usize,
    pub findings: Findings,
    /// From each blow until work went on.
    pub recoveries: Vec<Duration>,
    /// The 99th of a hundred may take this long.
    pub bound: Option<Duration>,
    /// Said below the table.
    pub notes: Vec<String>,
    /// Why it was not done here.
    pub skipped: Option<String>,
    pub took: Duration,
}

impl Outcome {
    pub fn new(fault: &'static str) -> Self {
        Self {
            fault,
            injections: 0,
            findings: Findings::default(),
            recoveries: Vec::new(),
            bound: None,
            notes: Vec::new(),
            skipped: None,
            took: Duration::ZERO,
        }
    }

    /// It cannot be done on this machine.
    pub fn skipped(fault: &'static str, why: impl Into<String>) -> Self {
        Self {
            skipped: Some(why.into()),
            ..Self::new(fault)
        }
    }

    /// With the blows of the world abroad and what followed them.
    pub fn struck(mut self, stage: &Stage) -> Self {
        self.injections += stage.abroad.strikes();
        self.recoveries.extend(stage.abroad.recoveries());
        self
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Nothing was broken, nothing took too long, and something was done.
    pub fn passed(&self) -> bool {
        let late = self.bound.is_some_and(|bound| self.p99() > bound);
        self.skipped.is_none()
            && self.findings.violations.is_empty()
            && !late
            && self.injections > 0
    }

    pub fn p99(&self) -> Duration {
        percentile(&self.recoveries, 99)
    }

    fn verdict(&self) -> String {
        if self.skipped.is_some() {
            return "not injected".to_owned();
        }
        if self.passed() {
            return "ok".to_owned();
        }
        if self.injections == 0 {
            return "NOTHING DONE".to_owned();
        }
        let late = self.bound.is_some_and(|bound| self.p99() > bound);
        match (self.findings.violations.len(), late) {
            (0, _) => "LATE".to_owned(),
            (broken, _) => format!("BROKEN ({broken})"),
        }
    }
}

/// The value below which so many of a hundred lie; zero of none.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

/// The line above [`line`]s.
pub fn head() -> String {
    format!(
        "{:<34} {:>10} {:>6} {:>8} {:>13} {:>7}  {}\n{}",
        "fault",
        "injections",
        "lost",
        "doubled",
        "recovery p99",
        "took",
        "verdict",
        "-".repeat(94)
    )
}

/// An outcome as a line of the table.
pub fn line(outcome: &Outcome) -> String {
    let recovery = if outcome.recoveries.is_empty() {
        "-".to_owned()
    } else {
        format!("{:.2} s", outcome.p99().as_secs_f64())
    };
    format!(
        "{:<34} {:>10} {:>6} {:>8} {:>13} {:>5} s  {}",
        outcome.fault,
        outcome.injections,
        outcome.findings.lost(),
        outcome.findings.doubled(),
        recovery,
        outcome.took.as_secs(),
        outcome.verdict()
    )
}

/// What a reader of the table should know beside it, with the first broken promises.
pub fn remarks(outcome: &Outcome) -> Vec<String> {
    const SHOWN: usize = 12;
    let mut lines: Vec<String> = outcome.skipped.iter().cloned().collect();
    lines.extend(outcome.notes.iter().cloned());
    let violations = &outcome.findings.violations;
    lines.extend(violations.iter().take(SHOWN).map(ToString::to_string));
    if violations.len() > SHOWN {
        lines.push(format!("and {} more", violations.len() - SHOWN));
    }
    lines
}

/// How long something took so far, as notes say it.
pub fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
