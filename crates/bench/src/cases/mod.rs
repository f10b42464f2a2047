//! Every case, and this one screen that finds it. A case measures one thing and answers
//! with one table.

use anyhow::Result;
use clap::ValueEnum;

use crate::{Bench, table::Report};

mod carrier;
mod drain;
mod fairness;
mod health;
mod killed;
mod pickup;
mod redis_lost;
mod refresh;
mod schedules;
mod sync;
mod up;
mod vault;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Durable no-op jobs drained by one worker process
    Drain,
    /// Hints alone, without a database
    Carrier,
    /// From the call that enqueues to the start of the body, idle
    Pickup,
    /// Small tenants behind a large one
    Fairness,
    /// A catalog of 200,000 objects pulled into the database
    Sync,
    /// Health checks by the clock: scheduler, worker, what a check costs
    Health,
    /// A worker killed: until its jobs run again
    Killed,
    /// Redis killed in the middle of a drain
    RedisLost,
    /// Schedules by the hundred thousand: lag, rows read, a backlog
    Schedules,
    /// Credentials read, and re-encrypted meanwhile
    Vault,
    /// One expired credential, wanted by many at one moment
    Refresh,
    /// The whole product in one process
    Up,
}

impl Case {
    pub const ALL: [Self; 12] = [
        Self::Drain,
        Self::Carrier,
        Self::Pickup,
        Self::Fairness,
        Self::Sync,
        Self::Health,
        Self::Killed,
        Self::RedisLost,
        Self::Schedules,
        Self::Vault,
        Self::Refresh,
        Self::Up,
    ];

    /// As `--only` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Carrier => "carrier",
            Self::Pickup => "pickup",
            Self::Fairness => "fairness",
            Self::Sync => "sync",
            Self::Health => "health",
            Self::Killed => "killed",
            Self::RedisLost => "redis-lost",
            Self::Schedules => "schedules",
            Self::Vault => "vault",
            Self::Refresh => "refresh",
            Self::Up => "up",
        }
    }

    /// Measures it.
    pub async fn run(self, bench: &Bench) -> Result<Report> {
        eprintln!("bench: {} ...", self.name());
        match self {
            Self::Drain => drain::run(bench).await,
            Self::Carrier => carrier::run(bench).await,
            Self::Pickup => pickup::run(bench).await,
            Self::Fairness => fairness::run(bench).await,
            Self::Sync => sync::run(bench).await,
            Self::Health => health::run(bench).await,
            Self::Killed => killed::run(bench).await,
            Self::RedisLost => redis_lost::run(bench).await,
            Self::Schedules => schedules::run(bench).await,
            Self::Vault => vault::run(bench).await,
            Self::Refresh => refresh::run(bench).await,
            Self::Up => up::run(bench).await,
        }
    }
}
