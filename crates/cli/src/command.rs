//! The tree of commands on one screen. What each does is in `commands/`, a file each.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use patchbay_core::config::Inputs;

use crate::{commands as of, output::Format};

const ABOUT: &str = "\
Patchbay connects an organization's third-party accounts, keeps their credentials, pulls their data
with visible progress, and never loses a job.

Try it, with stand-ins for providers that need no account:
  patchbay up --sandbox

Then, in another terminal:
  echo sandbox-square-token | patchbay connect square --secret access_token=-
  patchbay sync square --follow
  patchbay records square --stream catalog";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "patchbay", version, about = ABOUT.lines().next(), long_about = ABOUT, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file (TOML) [env: PATCHBAY_CONFIG=] [default: /etc/patchbay/patchbay.toml if there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How answers look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub output: Format,
    /// Address of Patchbay's API [env: PATCHBAY_URL=] [default: that of the running `patchbay up`]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// API key; visible to other users of this machine, so prefer the variable
    /// [env: PATCHBAY_API_KEY=] [default: that of the running `patchbay up`]
    #[arg(long, global = true, value_name = "KEY")]
    pub key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process on SQLite: API, workers, scheduler
    Up(of::up::Arguments),
    /// Run the HTTP API of a fleet (PostgreSQL and Redis)
    Api,
    /// Run a worker of a fleet: the process that holds the keyring and talks to providers
    Worker,
    /// Run a scheduler of a fleet (any number may run), or show what all of them do
    Scheduler(of::scheduler::Arguments),
    /// Bring the database of a fleet to this version's tables
    Migrate,
    /// Organizations of a fleet
    #[command(subcommand)]
    Org(of::org::Command),
    /// API keys of a fleet
    #[command(subcommand)]
    Key(of::key::Command),
    /// The keyring that opens credentials
    #[command(subcommand)]
    Keys(of::keys::Command),
    /// Show the effective settings and where each came from
    Config(of::config_rows::Arguments),
    /// Look at everything Patchbay stands on, and say what to do
    Doctor,
    /// Connect an account at a provider
    Connect(of::connect::Arguments),
    /// List connections, or show, update, test, enable, disable and disconnect one
    Connections(of::connections::Arguments),
    /// The organization's own apps (OAuth clients) at providers
    #[command(name = "oauth-clients")]
    OauthClients(of::oauth_clients::Arguments),
    /// Do something at a provider: send an e-mail, fetch a text
    Act(of::act::Arguments),
    /// Pull records of a connection
    Sync(of::sync::Arguments),
    /// List schedules, or make, pause, resume, run and delete one
    Schedules(of::schedules::Arguments),
    /// List jobs, or show, watch, cancel and retry one
    Jobs(of::jobs::Arguments),
    /// Show or change how failed work is tried again
    #[command(name = "retry-policy")]
    RetryPolicy(of::retry_policy::Arguments),
    /// List alerts, or show, acknowledge and silence one
    Alerts(of::alerts::Arguments),
    /// Show the organization in numbers: connections, jobs, alerts
    Stats,
    /// Show records that were pulled
    Records(of::records::Arguments),
    /// List what can be connected, or show one provider
    Providers(of::providers::Arguments),
    /// Run the local stand-ins for the providers' APIs
    Sandbox(patchbay_sandbox::SandboxArgs),
    /// Print the completion script for a shell: source <(patchbay completions bash)
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// List the exit codes
    #[command(name = "exit-codes", long_about = crate::exit::table())]
    ExitCodes,
}

/// Everything the command line said.
#[derive(Debug)]
pub struct Given {
    pub settings: Vec<(String, String)>,
    pub cli: Cli,
}

impl Given {
    /// Where the configuration is read from.
    pub fn inputs(&self) -> Inputs {
        Inputs::of_process(self.cli.global.config.clone(), self.settings.clone())
    }
}

/// The tree without the flags of settings.
pub fn tree() -> clap::Command {
    Cli::command()
}
