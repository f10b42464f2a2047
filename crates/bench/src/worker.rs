//! A worker as a process of its own, where a case kills it or weighs it. The same code as
//! `patchbay worker`; a process of the benchmark so that one build measures one state.

use std::{path::PathBuf, process::Child};

use anyhow::{Context, Result};
use clap::Args;
use patchbay_core::job::Queue;
use tokio_util::sync::CancellationToken;

use crate::{
    product::{Place, worker_parts},
    servers::bound,
};

#[derive(Debug, Args)]
pub struct Arguments {
    #[arg(long)]
    database_url: String,
    #[arg(long)]
    redis_url: Option<String>,
    #[arg(long)]
    slots: usize,
    /// Which queue it serves
    #[arg(long, default_value = "sync")]
    queue: String,
    /// A file, because arguments are for everyone to read
    #[arg(long)]
    keyring_file: Option<PathBuf>,
    #[arg(long)]
    square_url: Option<String>,
}

/// Serves one queue until it is killed.
pub async fn run(arguments: Arguments) -> Result<()> {
    let place = Place {
        database: arguments.database_url,
        redis: arguments.redis_url,
    };
    let keyring = arguments
        .keyring_file
        .map(std::fs::read_to_string)
        .transpose()?;
    let parts = worker_parts(&place, keyring.as_deref(), arguments.square_url.as_deref()).await?;
    let queue = Queue::ALL
        .into_iter()
        .find(|queue| queue.name() == arguments.queue)
        .context("no such queue")?;
    let never = CancellationToken::new();
    patchbay_worker::run(
        parts.deps,
        vec![(queue, arguments.slots)],
        never.clone(),
        never,
    )
    .await?;
    Ok(())
}

/// A running worker; killed when dropped.
pub struct WorkerProcess(Child);

impl WorkerProcess {
    /// Starts one; `more` arguments after the usual ones.
    pub fn start(place: &Place, slots: usize, more: &[&str]) -> Result<Self> {
        let mut command = bound(std::env::current_exe()?, "KILL");
        command
            .args([
                "worker",
                "--slots",
                &slots.to_string(),
                "--database-url",
                &place.database,
            ])
            .args(place.redis.iter().flat_map(|url| ["--redis-url", url]))
            .args(more);
        Ok(Self(command.spawn()?))
    }

    /// The system's id of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL, and collects it.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // An error says that it has ended already, which is what is wanted.
        self.kill().ok();
    }
}
