//! Log lines go to the standard error, as text or JSON. Secrets cannot reach them:
//! their type prints dots only.

use std::io::IsTerminal;

use patchbay_core::config::{Config, LogFormat};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::exit::{Outcome, Stop};

/// Statements of the database driver at their own level would fill the log.
const QUIET: &str = "sqlx=warn,sea_orm=warn,sea_orm_migration=warn,hyper=warn,h2=warn,apalis=warn";

/// Starts logging for a serving process.
pub fn start(config: &Config) -> Outcome {
    // A person's own directives come last and win.
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.log_level.0))
        .map_err(|error| Stop::usage(format!("log.level: {error}")))?;
    let json = match config.log_format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_target(false).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|error| Stop::internal(format!("starting the log: {error}")))
}
