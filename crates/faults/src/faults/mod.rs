//! The faults, one file each, and this one screen that lists them.

use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use crate::{mutation::Mutation, outcome::Outcome};

mod api_killed;
mod calm;
mod killed;
mod zombie;

/// What is done to the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Nothing: delays, failures, lanes, keys, repeated requests
    Calm,
    /// API killed after the commit, before the hint
    ApiKilled,
    /// Worker killed in the body
    WorkerKilled,
    /// Worker killed after a call abroad, before its record
    KilledAbroad,
    /// Worker killed after its effects, before the finish
    KilledAtEnd,
    /// Worker stopped for twice the lease, also inside a transaction
    Zombie,
}

/// How a fault is done.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Few rounds.
    pub short: bool,
    /// With this bug.
    pub mutation: Option<&'static Mutation>,
}

impl Run {
    /// The full number, or the one of a short run.
    pub fn number(&self, full: usize, short: usize) -> usize {
        if self.short { short } else { full }
    }
}

impl Fault {
    /// All, in the order of the table.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Does it once over, and checks.
    ///
    /// # Errors
    /// The run itself could not be done.
    pub async fn run(self, run: Run) -> Result<Outcome> {
        let began = Instant::now();
        let outcome = match self {
            Self::Calm => Box::pin(calm::run(run)).await,
            Self::ApiKilled => Box::pin(api_killed::run(run)).await,
            Self::WorkerKilled => Box::pin(killed::in_the_body(run)).await,
            Self::KilledAbroad => Box::pin(killed::after_a_call_abroad(run)).await,
            Self::KilledAtEnd => Box::pin(killed::before_the_finish(run)).await,
            Self::Zombie => Box::pin(zombie::run(run)).await,
        };
        outcome.map(|outcome| Outcome {
            took: began.elapsed(),
            ..outcome
        })
    }
}
