//! The `patchbay` binary: the serving processes, and client commands that speak
//! only HTTP.
//!
//! It puts the other crates together and must not hold a rule of the product:
//! what a job, a record or a credential is, stands elsewhere.

use std::process::ExitCode;

use clap::FromArgMatches;

mod client;
mod command;
mod commands;
mod exit;
mod flags;
mod follow;
mod instance;
mod logging;
mod output;
mod serve;

fn main() -> ExitCode {
    // One provider of cryptography for the whole process, before any TLS exists.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return exit::Stop::internal("another TLS provider was installed before ring").tell();
    }
    let matches = flags::with_settings(command::tree()).get_matches();
    let given = match command::Cli::from_arg_matches(&matches) {
        Ok(cli) => command::Given {
            settings: flags::settings_of(&matches),
            cli,
        },
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::Stop::internal(format!("starting the runtime: {error}")).tell(),
    };
    match runtime.block_on(commands::run(given)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.tell(),
    }
}
