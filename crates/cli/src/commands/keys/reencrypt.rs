//! `patchbay keys reencrypt`: a new data key for every org, every secret under it.

use patchbay_core::{config::Config, vault::Vault};
use serde_json::json;

use super::{Patience, barrier, home, many, passing, vault_stop};
use crate::{
    exit::Outcome,
    output::{self, Format},
    serve::outside,
};

pub async fn run(config: &Config, patience: &Patience, format: Format) -> Outcome {
    let keyring = outside::keyring(&home::keyring_path(config, None)?)?;
    let store = home::store(config).await?;
    barrier::newest_copy(&store, &keyring, patience.time()).await?;
    let vault = Vault::new(keyring, store.deployment_id().await?);
    let passing = passing::Passing::new("reencrypt", format);
    let ended = vault
        .reencrypt(&store, &|progress| passing.show(progress))
        .await;
    passing.end();
    let ended = ended.map_err(vault_stop)?;
    match format {
        Format::Json => output::say_json(&json!({
            "resumed": ended.resumed, "reencrypted": ended.done, "finished": ended.keys_left == 0,
            "old_keys_left": ended.keys_left, "unopenable": ended.trouble.count,
        }))?,
        Format::Text => {
            let resumed = if ended.resumed {
                " (the pass before had not finished and was gone on with)"
            } else {
                ""
            };
            let left = match ended.keys_left {
                0 => "No old data key is left.".to_owned(),
                left => format!(
                    "{} still in use, by jobs that wait or by a write of this moment: run this again later to finish \
                     the pass.",
                    many(left, "old data key")
                ),
            };
            output::say(&format!(
                "{} encrypted anew{resumed}. {left}",
                many(ended.done, "secret")
            ))?;
        }
    }
    passing::told(&ended.trouble)
}
