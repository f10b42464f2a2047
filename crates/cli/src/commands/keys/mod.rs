//! `patchbay keys`: the keyring file and its rotation, straight on file and database,
//! while everything runs. Only workers get the file; the API gets the public key.
//!
//! A file per verb. What several of them need: [`home`] finds file and database,
//! [`barrier`] asks the live processes, [`passing`] shows how far a pass is, [`typed`]
//! asks a person to mean it.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use patchbay_core::{config::Config, vault::VaultError};

use crate::{
    exit::{Outcome, Stop},
    output::{Format, grouped},
};

mod add;
mod barrier;
mod forget_org;
mod home;
mod init;
mod list;
mod passing;
mod promote;
mod reencrypt;
mod retire;
mod rewrap;
mod status;
pub mod typed;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
To replace the key of a deployment, while everything runs:
  patchbay keys add                 a new key, on standby
                                    (copy the file to the other machines of workers)
  patchbay keys promote k2          it closes from now on; the former one only opens
  patchbay keys rewrap              everything that the former one closed is closed anew
  patchbay keys retire k1           refused while anything still uses it

`patchbay keys reencrypt` also gives every organization a new data key. A new sealing key
goes the same way: `add --sealing`, `promote`, the new public key to every API, `retire`.")]
pub enum Command {
    /// Make a keyring file (0600) and print the public key for the API
    ///
    /// The file is the one that `keyring_file` names, or the argument. An existing file is
    /// never overwritten: without its keys, the credentials closed with them are lost.
    Init {
        /// Where to write it
        file: Option<PathBuf>,
    },
    /// Print the public key of a keyring file
    Public {
        /// Which file
        file: Option<PathBuf>,
    },
    /// List the keys of the keyring file: states and fingerprints, never a key
    List,
    /// Show where each key is in use, which processes know it, and what is unfinished
    Status,
    /// Add a new random key to the keyring file, on standby
    Add {
        /// Its id [default: the next number, such as k2]
        id: Option<String>,
        /// A key that opens what the API seals, in place of one that wraps data keys
        #[arg(long)]
        sealing: bool,
    },
    /// Make a key the primary one: it closes from now on, the former one only opens
    ///
    /// Refused until every live process that holds a keyring says that it knows the key.
    Promote {
        /// Which key
        id: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// Wrap every data key anew with the primary key
    Rewrap {
        #[command(flatten)]
        patience: Patience,
    },
    /// Give every organization a new data key and encrypt every secret anew with it
    ///
    /// May be interrupted at any point; the next run goes on where it stood.
    Reencrypt {
        #[command(flatten)]
        patience: Patience,
    },
    /// Disable a key, or remove it for good; refused while anything uses it
    Retire {
        /// Which key
        id: String,
        /// Remove its bytes from the file, in place of disabling it
        #[arg(long)]
        remove: bool,
        /// The id of the key once more, in place of typing it when asked
        #[arg(long, value_name = "ID")]
        yes_i_mean: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Delete the data keys of an organization: its secrets are unreadable for good
    ///
    /// Its connections stay, with records and history, and wait for a new credential.
    ForgetOrg {
        /// Organization, by id or name
        org: String,
        /// The name of the organization once more, in place of typing it when asked
        #[arg(long, value_name = "NAME")]
        yes_i_mean: Option<String>,
    },
}

/// How long to wait for live processes: they read the file again every other second.
#[derive(Debug, clap::Args)]
pub struct Patience {
    /// Seconds to wait for processes to read a changed keyring file
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u64,
}

impl Patience {
    fn time(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

pub async fn run(config: &Config, command: Command, format: Format) -> Outcome {
    match command {
        Command::Init { file } => init::run(config, file, format),
        Command::Public { file } => init::public(config, file, format),
        Command::List => list::run(config, format),
        Command::Status => status::run(config, format).await,
        Command::Add { id, sealing } => add::run(config, id.as_deref(), sealing, format),
        Command::Promote { id, patience } => promote::run(config, &id, &patience, format).await,
        Command::Rewrap { patience } => rewrap::run(config, &patience, format).await,
        Command::Reencrypt { patience } => reencrypt::run(config, &patience, format).await,
        Command::Retire {
            id,
            remove,
            yes_i_mean,
            patience,
        } => {
            let wish = retire::Wish {
                id,
                remove,
                yes_i_mean,
            };
            retire::run(config, &wish, &patience, format).await
        }
        Command::ForgetOrg { org, yes_i_mean } => {
            forget_org::run(config, &org, yes_i_mean.as_deref(), format).await
        }
    }
}

/// `1 data key`, `1,500 data keys`.
fn many(count: u64, one: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{} {one}{end}", grouped(count))
}

fn vault_stop(error: VaultError) -> Stop {
    match error {
        VaultError::Store(error) => error.into(),
        error @ (VaultError::KeyMissing(_) | VaultError::Unopenable) => Stop::usage(error),
    }
}
