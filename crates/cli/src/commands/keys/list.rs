//! `patchbay keys list`: what the keyring file holds.

use patchbay_core::{
    config::Config,
    vault::holders::{HeldKey, KeySort},
};

use super::home;
use crate::{
    exit::Outcome,
    output::{self, Format},
    serve::outside,
};

pub fn run(config: &Config, format: Format) -> Outcome {
    let keys = outside::keyring(&home::keyring_path(config, None)?)?.held();
    match format {
        Format::Json => output::say_json(&keys),
        Format::Text => {
            let row = |key: &HeldKey| {
                [
                    key.id.clone(),
                    does(key.sort).to_owned(),
                    key.state.name().to_owned(),
                    key.fingerprint.clone(),
                ]
            };
            output::say(&output::table(
                ["KEY", "FOR", "STATE", "FINGERPRINT"],
                &keys.iter().map(row).collect::<Vec<_>>(),
            ))
        }
    }
}

/// What a key is for, in a word or two.
pub fn does(sort: KeySort) -> &'static str {
    match sort {
        KeySort::Wrapping => "data keys",
        KeySort::Sealing => "sealing",
    }
}
