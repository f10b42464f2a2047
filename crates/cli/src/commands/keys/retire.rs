//! `patchbay keys retire`: the end of a key that nothing uses any more.

use patchbay_core::{
    config::Config,
    store::{Store, keys::Used},
    vault::{
        holders::{HeldKey, KeySort},
        keyring::KeyState,
    },
};
use serde_json::json;

use super::{Patience, barrier, home, many, typed};
use crate::{
    exit::{Exit, Outcome, Stop},
    output::{self, Format},
};

/// What is asked for.
#[derive(Debug)]
pub struct Wish {
    pub id: String,
    pub remove: bool,
    pub yes_i_mean: Option<String>,
}

pub async fn run(config: &Config, wish: &Wish, patience: &Patience, format: Format) -> Outcome {
    let path = home::keyring_path(config, None)?;
    let mut ring = home::keyring_file(config)?;
    let refused = |error| Stop::new(Exit::Refused, error);
    let id = wish.id.as_str();
    let key = ring.key(id).map_err(refused)?;
    if key.state == KeyState::Primary {
        return Err(Stop::new(
            Exit::Refused,
            format!("`{id}` is the primary key: add and promote another one first"),
        ));
    }
    let store = home::store(config).await?;
    gate(&store, &key).await?;
    barrier::used_by_none(&store, &key, patience.time()).await?;
    if wish.remove {
        let warning = format!(
            "The key {id} (fingerprint {}) will be removed from {} for good. Backups of the database from before \
             cannot be opened without it.",
            key.fingerprint,
            path.display()
        );
        typed::confirm(
            &warning,
            "the id of the key",
            id,
            wish.yes_i_mean.as_deref(),
        )?;
    }
    // Once more: what was closed while the processes were waited for counts too.
    gate(&store, &key).await?;
    if wish.remove {
        ring.remove(id).map_err(refused)?;
    } else {
        ring.disable(id).map_err(refused)?;
    }
    forget_promotion(&store, &key, &ring.keyring().map_err(refused)?.held()).await?;
    let (state, words) = if wish.remove {
        ("removed", "is removed from")
    } else {
        ("disabled", "is disabled in")
    };
    match format {
        Format::Json => {
            output::say_json(&json!({ "keyring_file": path, "id": id, "state": state }))
        }
        Format::Text => output::say(&format!(
            "{id} {words} {}. Copy the file to every other machine with workers.",
            path.display()
        )),
    }
}

/// Refused while any encrypted column uses the key.
async fn gate(store: &Store, key: &HeldKey) -> Outcome {
    let used = store.used(key).await?;
    if used.is_empty() {
        return Ok(());
    }
    let what_to_do = match key.sort {
        KeySort::Wrapping => "Run `patchbay keys rewrap` first.",
        KeySort::Sealing => {
            "These are secrets of jobs and consents that have not ended. Wait until they have; a dead job keeps its \
             secret for a day, or until it is discarded."
        }
    };
    let rows: Vec<String> = used
        .iter()
        .map(|Used { column, rows }| format!("  {} in {column}", many(*rows, "value")))
        .collect();
    Err(Stop::new(
        Exit::Refused,
        format!(
            "`{}` is still in use:\n{}\n{what_to_do}",
            key.id,
            rows.join("\n")
        ),
    ))
}

/// A promotion that was noted and never written must not keep processes from starting.
async fn forget_promotion(store: &Store, retired: &HeldKey, keys: &[HeldKey]) -> Outcome {
    let noted = store.promoted_keys().await?;
    if noted.of(retired.sort) == Some(retired.name().as_str()) {
        let primary = keys
            .iter()
            .find(|key| key.sort == retired.sort && key.state == KeyState::Primary);
        let name = primary.map(HeldKey::name);
        store.note_promoted(retired.sort, name.as_deref()).await?;
    }
    Ok(())
}
