//! `patchbay scheduler`: makes due work visible, takes back what dead processes held.
//! Any number may run. It holds no key.

use std::{convert::Infallible, sync::Arc};

use clap::{Args, Subcommand};
use patchbay_core::{clock::SystemClock, config::Config};
use patchbay_scheduler::{Identity, SchedulerDeps};

use crate::{
    exit::Outcome,
    logging,
    output::Format,
    serve::{
        admin_port, background::Parts, fleet, readiness::Readiness, signals,
        vital_signs::VitalSigns, work,
    },
};

mod status;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what every scheduler of the fleet does, how late it is and what failed
    Status,
}

pub async fn run(config: Config, arguments: Arguments, format: Format) -> Outcome {
    match arguments.command {
        Some(Command::Status) => status::run(config, format).await,
        None => serve(config).await,
    }
}

async fn serve(config: Config) -> Outcome {
    logging::start(&config)?;
    let stopping = signals::listen()?;
    let readiness = Readiness::default();
    admin_port::serve(&config, "scheduler", &readiness, &stopping.stop).await?;
    let Some(fleet) = fleet::join(&config, "scheduler", &readiness, &stopping.stop).await? else {
        return Ok(());
    };

    let identity = Identity::Own { host: work::host() };
    let mut deps = SchedulerDeps::new(fleet.store, fleet.hints, Arc::new(SystemClock), identity);
    deps.retention = work::retention(&config);
    readiness.running(VitalSigns {
        scheduler: Some(Arc::clone(&deps.reports)),
        ..VitalSigns::default()
    });
    let mut parts = Parts::new(stopping.stop.clone());
    let stop = stopping.stop.clone();
    parts.start("scheduler", async move {
        patchbay_scheduler::run(deps, stop).await;
        Ok::<(), Infallible>(())
    });
    tracing::info!("scheduler is ready");
    parts.run().await
}
