//! One file per command. Serving commands put processes together; client commands
//! speak only HTTP.

use patchbay_core::config;

use crate::{
    client::Client,
    command::{Command, Given},
    exit::Outcome,
    output,
};

pub mod act;
pub mod alerts;
pub mod api;
pub mod completions;
pub mod config_rows;
pub mod connect;
pub mod connections;
mod consent;
pub mod doctor;
mod form;
pub mod jobs;
pub mod key;
pub mod keys;
pub mod migrate;
pub mod oauth_clients;
pub mod org;
pub mod providers;
pub mod records;
pub mod retry_policy;
pub mod sandbox;
pub mod scheduler;
pub mod schedules;
pub mod stats;
pub mod sync;
pub mod up;
pub mod worker;

/// Runs what the command line asks for.
pub async fn run(given: Given) -> Outcome {
    let inputs = given.inputs();
    let global = given.cli.global;
    let format = global.output;
    let client = || Client::find(&inputs, global.url.as_deref(), global.key.as_deref());
    match given.cli.command {
        Command::Up(arguments) => up::run(config::load(&inputs)?, arguments, format).await,
        Command::Api => api::run(config::load(&inputs)?.config).await,
        Command::Worker => worker::run(config::load(&inputs)?.config).await,
        Command::Scheduler(arguments) => {
            scheduler::run(config::load(&inputs)?.config, arguments, format).await
        }
        Command::Migrate => migrate::run(config::load(&inputs)?.config).await,
        Command::Org(command) => org::run(config::load(&inputs)?.config, command, format).await,
        Command::Key(command) => key::run(config::load(&inputs)?.config, command, format).await,
        Command::Keys(command) => keys::run(&config::load(&inputs)?.config, command, format).await,
        Command::Config(arguments) => config_rows::run(&inputs, arguments, format),
        Command::Doctor => {
            doctor::run(
                &inputs,
                global.url.as_deref(),
                global.key.as_deref(),
                format,
            )
            .await
        }
        Command::Connect(arguments) => connect::run(&client()?, arguments, format).await,
        Command::Connections(arguments) => connections::run(&client()?, arguments, format).await,
        Command::OauthClients(arguments) => oauth_clients::run(&client()?, arguments, format).await,
        Command::Act(arguments) => act::run(&client()?, arguments, format).await,
        Command::Sync(arguments) => sync::run(&client()?, arguments, format).await,
        Command::Schedules(arguments) => schedules::run(&client()?, arguments, format).await,
        Command::Jobs(arguments) => jobs::run(&client()?, arguments, format).await,
        Command::RetryPolicy(arguments) => retry_policy::run(&client()?, arguments, format).await,
        Command::Alerts(arguments) => alerts::run(&client()?, arguments, format).await,
        Command::Stats => stats::run(&client()?, format).await,
        Command::Records(arguments) => records::run(&client()?, arguments, format).await,
        Command::Providers(arguments) => providers::run(&client()?, arguments, format).await,
        Command::Sandbox(arguments) => sandbox::run(arguments).await,
        Command::Completions { shell } => completions::run(shell),
        Command::ExitCodes => output::say(&crate::exit::table()),
    }
}
