//! Benchmarks: Patchbay beside its peers and beside the limits of the machine, in one run,
//! on servers that it starts itself. README.md says how to read the tables.
//!
//! It measures and prints; it must not hold code of the product, and no figure is ever
//! compared with one from another run.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

mod cases;
mod measure;
mod peers;
mod product;
mod refresher;
mod servers;
mod starts;
mod table;
mod worker;

use cases::Case;
use peers::Peers;
use starts::Starts;

/// Run the benchmarks and print a table for each.
#[derive(Debug, Parser)]
#[command(name = "patchbay-bench")]
struct Cli {
    /// Only these cases
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    /// Smaller numbers: a look at the shape of things, not a result
    #[arg(long)]
    quick: bool,
    /// Folder where the peers are installed once
    #[arg(long, default_value = "target/bench/peers")]
    cache: PathBuf,
    /// Leave the peers out: their rows say so
    #[arg(long)]
    no_peers: bool,
    /// Also say in which statements PostgreSQL's time went (slower by some percent)
    #[arg(long)]
    statements: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the benchmark starts as processes of their own.
#[derive(Debug, Subcommand)]
enum Part {
    /// A worker process
    #[command(hide = true)]
    Worker(worker::Arguments),
    /// Callers of one credential
    #[command(hide = true)]
    Refresher(refresher::Arguments),
    /// A stand-in for Square
    #[command(hide = true)]
    Sandbox(patchbay_sandbox::SandboxArgs),
}

/// What every case works with.
struct Bench {
    quick: bool,
    statements: bool,
    peers: Peers,
    starts: Arc<Starts>,
}

impl Bench {
    /// The full number, or a smaller one for a quick look.
    fn number(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<ExitCode> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider was installed before ring"))?;
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // The main thread runs this: children end with the thread that started them.
    runtime.block_on(async {
        match cli.part {
            Some(Part::Worker(arguments)) => {
                worker::run(arguments).await?;
                Ok(ExitCode::SUCCESS)
            }
            Some(Part::Refresher(arguments)) => {
                refresher::run(arguments).await?;
                Ok(ExitCode::SUCCESS)
            }
            Some(Part::Sandbox(arguments)) => {
                patchbay_sandbox::run(arguments).await?;
                Ok(ExitCode::SUCCESS)
            }
            None => run_cases(cli).await,
        }
    })
}

/// Every case that was asked for; one that fails does not keep the others from running.
async fn run_cases(cli: Cli) -> Result<ExitCode> {
    let out = PathBuf::from("target/bench");
    std::fs::create_dir_all(&out).context("making target/bench")?;
    let starts = starts::install(&out.join("log"))?;
    let bench = Bench {
        quick: cli.quick,
        statements: cli.statements,
        peers: Peers::new(cli.cache, cli.no_peers)?,
        starts,
    };
    println!("{}", measure::machine());
    let wanted = if cli.only.is_empty() {
        Case::ALL.to_vec()
    } else {
        cli.only
    };
    let mut failed = false;
    for case in wanted {
        match Box::pin(case.run(&bench)).await {
            Ok(report) => {
                println!("\n{}", report.text());
                report.write_json(&out)?;
            }
            Err(error) => {
                failed = true;
                println!("\n## {}\nnot measured: {error:#}", case.name());
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
