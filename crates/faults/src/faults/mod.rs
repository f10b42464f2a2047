//! The faults, one file each, and this one screen that lists them.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::{mutation::Mutation, outcome::Outcome};

mod api_killed;
mod calm;
mod clocks;
mod cut;
mod disk_full;
mod drain;
mod embedded;
mod endless;
mod hostile;
mod killed;
mod poison;
mod postgres;
mod provider;
mod redis;
mod rolling;
mod ticks;
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
    /// Redis flushed, killed, stalled, full
    Redis,
    /// Many due jobs, all workers down, then started
    Drain,
    /// PostgreSQL killed
    PostgresKilled,
    /// PostgreSQL stalled
    PostgresStalled,
    /// Connections to PostgreSQL terminated at random
    Terminated,
    /// PostgreSQL's disk full
    DiskFull,
    /// A worker cut from PostgreSQL
    Cut,
    /// Jobs that end their process
    Poison,
    /// One process after the other restarted under load
    Rolling,
    /// Workers with wrong clocks
    Clocks,
    /// A provider that fails, while it changes and workers die
    Provider,
    /// A provider that means harm
    Hostile,
    /// Schedulers killed at random while schedules are due every second
    Ticks,
    /// `patchbay up` killed while it writes
    Embedded,
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

    /// How long a run waits for jobs to end: under a bug some never do, and are not waited for
    /// that long.
    pub fn patience(&self, seconds: u64) -> Duration {
        const UNDER_A_BUG: u64 = 30;
        let most = if self.mutation.is_some() {
            UNDER_A_BUG
        } else {
            seconds
        };
        Duration::from_secs(seconds.min(most))
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
            Self::Redis => Box::pin(redis::run(run)).await,
            Self::Drain => Box::pin(drain::run(run)).await,
            Self::PostgresKilled => Box::pin(postgres::killed(run)).await,
            Self::PostgresStalled => Box::pin(postgres::stalled(run)).await,
            Self::Terminated => Box::pin(postgres::terminated(run)).await,
            Self::DiskFull => Box::pin(disk_full::run(run)).await,
            Self::Cut => Box::pin(cut::run(run)).await,
            Self::Poison => Box::pin(poison::run(run)).await,
            Self::Rolling => Box::pin(rolling::run(run)).await,
            Self::Clocks => Box::pin(clocks::run(run)).await,
            Self::Provider => Box::pin(provider::run(run)).await,
            Self::Hostile => Box::pin(hostile::run(run)).await,
            Self::Ticks => Box::pin(ticks::run(run)).await,
            Self::Embedded => Box::pin(embedded::run(run)).await,
        };
        outcome.map(|outcome| Outcome {
            took: began.elapsed(),
            ..outcome
        })
    }
}
