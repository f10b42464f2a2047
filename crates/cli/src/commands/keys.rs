//! `patchbay keys`: the keyring file. Only workers get it; the API gets the public
//! key that this prints.

use std::path::PathBuf;

use clap::Subcommand;
use patchbay_core::{
    config::{Config, Problem},
    vault::Keyring,
};
use serde_json::json;

use crate::{
    exit::{Exit, Outcome, Stop},
    instance::folder::write_private,
    output::{self, Format},
};

#[derive(Debug, Subcommand)]
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
}

pub fn run(config: &Config, command: Command, format: Format) -> Outcome {
    let named = |file: Option<PathBuf>| {
        file.or_else(|| config.keyring_file.clone()).ok_or_else(|| {
            Stop::usage(Problem::missing(
                "keyring_file",
                "name the file, as argument or as setting",
            ))
        })
    };
    match command {
        Command::Init { file } => {
            let file = named(file)?;
            if file.exists() {
                return Err(Stop::new(
                    Exit::Refused,
                    format!(
                        "{} exists and is not overwritten; `patchbay keys public` prints its public key",
                        file.display()
                    ),
                ));
            }
            let text = Keyring::generate();
            write_private(&file, &text)
                .map_err(|error| Stop::internal(format!("{}: {error}", file.display())))?;
            tell(&file, format, true)
        }
        Command::Public { file } => tell(&named(file)?, format, false),
    }
}

fn tell(file: &PathBuf, format: Format, is_new: bool) -> Outcome {
    let keyring = Keyring::read(file).map_err(Stop::usage)?;
    let public = keyring.sealing_public().to_string();
    match (format, is_new) {
        (Format::Json, _) => {
            output::say_json(&json!({ "keyring_file": file, "sealing_public_key": public }))
        }
        (Format::Text, false) => output::say(&public),
        (Format::Text, true) => output::say(&format!(
            "Keyring written to {} (0600). Give it to workers only, and keep a copy elsewhere.\n\n\
             Public key, for the API:\n  sealing_public_key = \"{public}\"",
            file.display()
        )),
    }
}
