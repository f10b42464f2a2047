//! `patchbay keys rewrap`: every data key is wrapped with the primary key.

use patchbay_core::{config::Config, vault::Vault};
use serde_json::json;

use super::{Patience, barrier, home, many, passing, vault_stop};
use crate::{
    exit::{Exit, Outcome, Stop},
    output::{self, Format},
    serve::outside,
};

pub async fn run(config: &Config, patience: &Patience, format: Format) -> Outcome {
    let keyring = outside::keyring(&home::keyring_path(config, None)?)?;
    let store = home::store(config).await?;
    barrier::newest_copy(&store, &keyring, patience.time()).await?;
    let primary = keyring.primary_id().to_owned();
    let vault = Vault::new(keyring, store.deployment_id().await?);
    let passing = passing::Passing::new("rewrap", format);
    let ended = vault
        .rewrap(&store, &|progress| passing.show(progress))
        .await;
    passing.end();
    let ended = ended.map_err(vault_stop)?;
    match format {
        Format::Json => output::say_json(&json!({
            "primary": primary, "rewrapped": ended.done, "left": ended.left, "unopenable": ended.trouble.count,
        }))?,
        Format::Text => output::say(&format!(
            "{} wrapped anew with {primary}.",
            many(ended.done, "data key")
        ))?,
    }
    passing::told(&ended.trouble)?;
    if ended.left > 0 {
        return Err(Stop::new(
            Exit::Refused,
            format!(
                "{} made meanwhile under another primary key: copy this keyring file to every machine with workers and \
                 run this again",
                many(ended.left, "data key")
            ),
        ));
    }
    Ok(())
}
