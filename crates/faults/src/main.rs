//! Runs the fault tests and prints their table; `docs/faults.md` says what each does.

use std::{
    cell::RefCell,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use patchbay_faults::{
    faults::{Fault, Run},
    findings::Invariant,
    mutation::{self, Mutation},
    outcome::{Outcome, head, line, remarks},
};

/// Hurt the product in every way that is listed, and check what it promised.
#[derive(Debug, Parser)]
#[command(name = "patchbay-faults")]
struct Cli {
    /// Only these faults
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Few rounds of each
    #[arg(long)]
    short: bool,
    /// Only the seeded bugs, each of which a run must catch
    #[arg(long)]
    seeded: bool,
    /// Leave the seeded bugs out
    #[arg(long)]
    unseeded: bool,
    /// Of the seeded bugs only those whose name contains this
    #[arg(long)]
    bug: Option<String>,
}

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<bool> {
    patchbay_faults::prepare()?;
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // The main thread runs this: children end with the thread that started them.
    runtime.block_on(async {
        let began = Instant::now();
        let mut fine = true;
        if !cli.seeded {
            fine &= every_fault(&cli).await;
        }
        if !cli.unseeded {
            fine &= seeded(&cli).await;
        }
        println!("\nall of it took {}", minutes(began.elapsed()));
        Ok(fine)
    })
}

async fn every_fault(cli: &Cli) -> bool {
    let run = Run {
        short: cli.short,
        mutation: None,
    };
    let wanted: Vec<Fault> = Fault::all()
        .iter()
        .copied()
        .filter(|fault| cli.only.is_empty() || cli.only.contains(fault))
        .collect();
    let began = Instant::now();
    let (mut fine, mut outcomes): (bool, Vec<Outcome>) = (true, Vec::new());
    println!("{}", head());
    for fault in wanted {
        match fault.run(run).await {
            Ok(outcome) => {
                fine &= outcome.passed() || outcome.skipped.is_some();
                println!("{}", line(&outcome));
                for remark in remarks(&outcome) {
                    println!("    {remark}");
                }
                outcomes.push(outcome);
            }
            Err(error) => {
                fine = false;
                println!("{fault:?}: could not be done: {error:#}");
            }
        }
    }
    println!("\n{}", head());
    for outcome in &outcomes {
        println!("{}", line(outcome));
    }
    println!("faults took {}", minutes(began.elapsed()));
    fine
}

async fn seeded(cli: &Cli) -> bool {
    let bugs: Vec<&'static Mutation> = mutation::ALL
        .iter()
        .filter(|bug| cli.bug.as_ref().is_none_or(|part| bug.name.contains(part)))
        .filter(|bug| cli.only.is_empty() || cli.only.contains(&bug.caught_by))
        .collect();
    let began = Instant::now();
    println!(
        "\n{:<58} {:<14} {:>6}  caught by",
        "seeded bug", "fault", "took"
    );
    println!("{}", "-".repeat(94));
    // Two at a time: most of it is waiting for leases. Neither leaves the main thread.
    let bugs = RefCell::new(bugs.into_iter());
    let next = || bugs.borrow_mut().next();
    let lane = async || {
        let mut fine = true;
        while let Some(bug) = next() {
            fine &= is_caught(bug).await;
        }
        fine
    };
    let (one, other) = tokio::join!(lane(), lane());
    println!("seeded bugs took {}", minutes(began.elapsed()));
    one && other
}

/// Runs with that bug, and says in a line what came of it.
async fn is_caught(bug: &'static Mutation) -> bool {
    let run = Run {
        short: true,
        mutation: Some(bug),
    };
    let began = Instant::now();
    let (caught, verdict) = match bug.caught_by.run(run).await {
        Ok(_) if !bug.was_in_force() => {
            let what = "NOT IN FORCE: a statement of it has changed";
            (false, what.to_owned())
        }
        Ok(outcome) if bug.is_caught(&outcome.findings) => (true, names(outcome.findings.broken())),
        Ok(outcome) => {
            let promised = names(bug.caught_as.iter().copied());
            let broken = names(outcome.findings.broken());
            let what = format!("NOT CAUGHT: {promised} held; broken: {broken}");
            (false, what)
        }
        // The run came to a stop under it, which is no proof that the checker sees it.
        Err(error) => (false, format!("NOT CHECKED: {error:#}")),
    };
    let (fault, took) = (format!("{:?}", bug.caught_by), began.elapsed().as_secs());
    println!("{:<58} {fault:<14} {took:>4} s  {verdict}", bug.name);
    caught
}

fn names(promises: impl IntoIterator<Item = Invariant>) -> String {
    let names: Vec<String> = promises.into_iter().map(|one| format!("{one:?}")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn minutes(time: Duration) -> String {
    format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
}
