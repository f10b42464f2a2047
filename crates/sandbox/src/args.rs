//! `patchbay sandbox`: the stand-ins as a command.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::clock::Clock;
use crate::faults::{Effect, Fault};
use crate::google::data::DriveSizes;
use crate::oauth::Answer;
use crate::running::{RunningSandbox, Sandbox, SandboxOptions, StartError};
use crate::square::data::{CsvError, Dataset, Sizes};
use crate::square::{Account, DEFAULT_MERCHANT, DEFAULT_TOKEN};

/// Serve strict local stand-ins of the providers' APIs, for demos and tests.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 4010)]
    pub port: u16,
    /// Seed of the made-up data and of faults that strike by probability; same seed, same data
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Catalog items to make up
    #[arg(long, default_value_t = 500, conflicts_with = "data")]
    pub items: u32,
    /// Variations an item has at most
    #[arg(long, default_value_t = 3, conflicts_with = "data", value_parser = clap::value_parser!(u32).range(1..=250))]
    pub max_variations: u32,
    /// Orders to make up, spread over the 90 days before --as-of
    #[arg(long, default_value_t = 1000, conflicts_with = "data")]
    pub orders: u32,
    /// Customers to make up
    #[arg(long, default_value_t = 200, conflicts_with = "data")]
    pub customers: u32,
    /// Locations to make up
    #[arg(long, default_value_t = 3, conflicts_with = "data", value_parser = clap::value_parser!(u32).range(1..=300))]
    pub locations: u32,
    /// Time before which all made-up data lies (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "data")]
    pub as_of: Option<DateTime<Utc>>,
    /// Google Docs to make up in the first account's Drive
    #[arg(long, default_value_t = 220)]
    pub documents: u32,
    /// Redirect URI of the default clients, matched exactly; may be repeated
    /// [default: any loopback address]
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub redirect_uris: Vec<String>,
    /// Allow every consent without showing the page
    #[arg(long)]
    pub auto_allow: bool,
    /// Take the data from a CSV file of order lines instead: InvoiceNo, StockCode, Description,
    /// Quantity, InvoiceDate (London time), UnitPrice (GBP), CustomerID, Country
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Access token that the Square stand-in accepts
    #[arg(long, value_name = "TOKEN", default_value = DEFAULT_TOKEN)]
    pub token: String,
    /// Delay of every answer of a provider, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// Change something at the merchant each time so many milliseconds have passed; 0: never
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub change_every_ms: u64,
    /// Fault to start with, as JSON; may be repeated. Example:
    /// {"endpoint":"/square/v2/orders/*","effect":{"rate_limited":{}},"times":3}
    #[arg(long = "fault", value_name = "JSON", value_parser = fault)]
    pub faults: Vec<Fault>,
}

fn fault(text: &str) -> Result<Fault, serde_json::Error> {
    serde_json::from_str(text)
}

/// Why the command ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the data file {} cannot be used: {source}", path.display())]
    Data { path: PathBuf, source: CsvError },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot wait for a signal: {0}")]
    Signal(std::io::Error),
}

/// Starts what the arguments ask for.
///
/// # Errors
/// The data file is refused, a fault is, or the port is taken.
pub async fn start(args: SandboxArgs) -> Result<RunningSandbox, RunError> {
    let clock = Clock::system();
    let as_of = match args.as_of {
        Some(time) => time,
        None => DateTime::from_timestamp_millis(clock.now_ms()).unwrap_or_default(),
    };
    let dataset = match &args.data {
        Some(path) => Dataset::from_csv(path).map_err(|source| RunError::Data {
            path: path.clone(),
            source,
        })?,
        None => Dataset::seeded(
            args.seed,
            &Sizes {
                items: args.items,
                max_variations: args.max_variations,
                orders: args.orders,
                customers: args.customers,
                locations: args.locations,
                as_of,
                ..Sizes::default()
            },
        ),
    };
    let mut faults = args.faults;
    if args.latency_ms > 0 {
        faults.push(Fault::everywhere(Effect::Latency {
            ms: args.latency_ms,
        }));
    }
    let account = Account {
        merchant_id: DEFAULT_MERCHANT.to_owned(),
        token: args.token,
        dataset,
    };
    let running = Sandbox::start(SandboxOptions {
        port: args.port,
        seed: args.seed,
        clock,
        square: vec![account, Account::other()],
        drive: DriveSizes {
            documents: args.documents,
            as_of,
            ..DriveSizes::default()
        },
        redirect_uris: args.redirect_uris,
        answer: args.auto_allow.then(Answer::default),
        faults,
        change_every: (args.change_every_ms > 0)
            .then(|| Duration::from_millis(args.change_every_ms)),
    })
    .await?;
    Ok(running)
}

/// Serves until interrupted, and says on standard output where.
///
/// # Errors
/// As [`start`].
pub async fn run(args: SandboxArgs) -> Result<(), RunError> {
    let running = start(args).await?;
    for (provider, url) in running.urls() {
        println!("{provider:16} {url}");
    }
    println!("Control          {}/_control", running.base_url());
    for (merchant, summary) in running.square.summaries() {
        println!(
            "Merchant         {merchant}: {} items, {} orders, {} customers, {} locations",
            summary.items, summary.orders, summary.customers, summary.locations
        );
    }
    wait_for_signal().await.map_err(RunError::Signal)?;
    running.stop().await;
    Ok(())
}

async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
