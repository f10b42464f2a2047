//! `patchbay keys add`: a new key, on standby.

use patchbay_core::{config::Config, vault::holders::KeySort};
use serde_json::json;

use super::home;
use crate::{
    exit::{Exit, Outcome, Stop},
    output::{self, Format},
};

pub fn run(config: &Config, id: Option<&str>, sealing: bool, format: Format) -> Outcome {
    let path = home::keyring_path(config, None)?;
    let mut ring = home::keyring_file(config)?;
    let sort = if sealing {
        KeySort::Sealing
    } else {
        KeySort::Wrapping
    };
    let key = ring
        .add(sort, id)
        .map_err(|error| Stop::new(Exit::Refused, error))?;
    match format {
        Format::Json => output::say_json(&json!({ "keyring_file": path, "key": key })),
        Format::Text => output::say(&format!(
            "{id} is in {} on standby (fingerprint {}). Copy the file to every other machine with workers, keep a \
             copy elsewhere, then:\n  patchbay keys promote {id}",
            path.display(),
            key.fingerprint,
            id = key.id
        )),
    }
}
