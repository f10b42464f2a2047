//! `patchbay keys init` and `patchbay keys public`.

use std::path::{Path, PathBuf};

use patchbay_core::{config::Config, vault::Keyring};
use serde_json::json;

use super::home;
use crate::{
    exit::{Exit, Outcome, Stop},
    instance::folder::write_private,
    output::{self, Format},
};

pub fn run(config: &Config, file: Option<PathBuf>, format: Format) -> Outcome {
    let file = home::keyring_path(config, file)?;
    if file.exists() {
        return Err(Stop::new(
            Exit::Refused,
            format!(
                "{} exists and is not overwritten; `patchbay keys public` prints its public key",
                file.display()
            ),
        ));
    }
    write_private(&file, &Keyring::generate())
        .map_err(|error| Stop::internal(format!("{}: {error}", file.display())))?;
    tell(&file, format, true)
}

pub fn public(config: &Config, file: Option<PathBuf>, format: Format) -> Outcome {
    tell(&home::keyring_path(config, file)?, format, false)
}

fn tell(file: &Path, format: Format, is_new: bool) -> Outcome {
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
