//! `patchbay keys promote`: a key closes from now on.
//!
//! First the deployment's row names the key, so that a process which starts from now on
//! must know it; then the live ones are asked; only then the file changes.

use patchbay_core::{
    config::Config,
    vault::{
        holders::{HeldKey, KeySort},
        keyring::KeyState,
    },
};
use serde_json::json;

use super::{Patience, barrier, home};
use crate::{
    exit::{Exit, Outcome, Stop},
    output::{self, Format},
};

pub async fn run(config: &Config, id: &str, patience: &Patience, format: Format) -> Outcome {
    let path = home::keyring_path(config, None)?;
    let mut ring = home::keyring_file(config)?;
    let refused = |error| Stop::new(Exit::Refused, error);
    let key = ring.key(id).map_err(refused)?;
    if key.state == KeyState::Disabled {
        return Err(Stop::new(
            Exit::Refused,
            format!("`{id}` is disabled: add a new key, or set its state to standby in the file"),
        ));
    }
    let store = home::store(config).await?;
    let before = store.promoted_keys().await?;
    store.note_promoted(key.sort, Some(&key.name())).await?;
    if let Err(stop) = barrier::known_to_all(&store, &key, patience.time()).await {
        store.note_promoted(key.sort, before.of(key.sort)).await?;
        return Err(stop);
    }
    ring.promote(id).map_err(refused)?;
    let keyring = ring.keyring().map_err(refused)?;
    let public = keyring.sealing_public().to_string();
    match format {
        Format::Json => output::say_json(&json!({
            "keyring_file": path, "key": ring.key(id).map_err(refused)?, "sealing_public_key": public,
        })),
        Format::Text => output::say(&words(&key, &public, &path.display().to_string())),
    }
}

fn words(key: &HeldKey, public: &str, path: &str) -> String {
    let HeldKey { id, .. } = key;
    match key.sort {
        KeySort::Wrapping => format!(
            "{id} is the primary key in {path}; the former one only opens. Copy the file to every other machine with \
             workers, then:\n  patchbay keys rewrap"
        ),
        KeySort::Sealing => format!(
            "{id} is the primary sealing key in {path}. Give its public half to every API process and restart it (in \
             the embedded mode restart `patchbay up`, which has it already):\n  sealing_public_key = \"{public}\"\n\
             What is sealed to the former one still opens. When `patchbay keys status` shows nothing under it, retire it."
        ),
    }
}
