//! The product's promises by name, and which of them a run found broken.

use std::{collections::BTreeSet, fmt};

/// What holds whatever fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every acknowledged enqueue ends, once, in the state it should.
    Lost,
    /// One end for a job, by the run that held it.
    OneEnd,
    /// Nothing runs without a row.
    NoRow,
    /// An effect in the database happens once.
    DatabaseTwice,
    /// An effect abroad happens once after its key.
    AbroadTwice,
    /// Nothing is written by a run that is not the job's present one.
    StaleCommit,
    /// Attempts stay within their limit, and only failures of the job's own burn one.
    Attempts,
    /// Nothing before its time.
    Early,
    /// One of a lane at a time, the oldest first.
    Lane,
    /// Nobody takes a job from a process that lives.
    Stolen,
    /// A request is followed by a run that begins after it.
    Swallowed,
    /// One request, one job; one open job of a key.
    Doubled,
    /// Cursors and progress never go back.
    WentBack,
    /// Final records equal the source.
    Records,
    /// One job per tick.
    Tick,
    /// A process ends only when it is told to, or harmed.
    ProcessEnded,
    /// No healthy job is set aside, every poison is.
    Quarantine,
    /// A job that two processes died of runs alone.
    Beside,
    /// The API answers, work goes on in time.
    InTime,
    /// What a hostile provider sends is bounded, and secrets stay with their host.
    Bounded,
}

impl Invariant {
    /// Effects and jobs that happened twice.
    fn is_doubled(self) -> bool {
        matches!(
            self,
            Self::DatabaseTwice | Self::AbroadTwice | Self::Doubled | Self::Tick | Self::OneEnd
        )
    }
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// What the checker found.
#[derive(Debug, Default)]
pub struct Findings {
    pub violations: Vec<Violation>,
}

impl Findings {
    pub fn say(&mut self, invariant: Invariant, what: impl Into<String>) {
        let what = what.into();
        self.violations.push(Violation { invariant, what });
    }

    pub fn lost(&self) -> usize {
        let lost = |violation: &&Violation| violation.invariant == Invariant::Lost;
        self.violations.iter().filter(lost).count()
    }

    pub fn doubled(&self) -> usize {
        let doubled = |violation: &&Violation| violation.invariant.is_doubled();
        self.violations.iter().filter(doubled).count()
    }

    pub fn broken(&self) -> BTreeSet<Invariant> {
        let invariants = self.violations.iter().map(|violation| violation.invariant);
        invariants.collect()
    }
}
