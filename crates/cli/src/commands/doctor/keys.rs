//! The keys: is the keyring whole and private, does the API's public key belong to it?

use patchbay_core::{config::Config, store::Store, vault::Keyring};

use super::Check;
use crate::serve::{outside, work};

const RESTORE: &str =
    "restore the keyring file from a backup: a new one opens none of the stored credentials";

pub async fn look(config: &Config, is_fleet: bool, store: Option<&Store>) -> Vec<Check> {
    let own = config.data_dir.join("keyring.toml");
    let path = match (&config.keyring_file, is_fleet) {
        (Some(path), _) => path,
        (None, false) if own.exists() => &own,
        (None, false) if config.data_dir.join("patchbay.db").exists() => {
            let found = format!("{} is missing, but the database is there", own.display());
            return vec![Check::broken("keyring", found, RESTORE)];
        }
        (None, _) => {
            return vec![Check::skipped(
                "keyring",
                "none here; only workers need one",
            )];
        }
    };
    let keyring = match outside::keyring(path) {
        Ok(keyring) => keyring,
        Err(stop) => return vec![Check::broken("keyring", stop.to_string(), RESTORE)],
    };
    let sealing = sealing(config, &keyring);
    let opens = match store {
        Some(store) => work::vault(store, keyring).await.map(drop),
        None => Ok(()),
    };
    let whole = match opens {
        Ok(()) => Check::ok(
            "keyring",
            format!("{} is whole and private", path.display()),
        ),
        Err(stop) => Check::broken("keyring", stop.to_string(), RESTORE),
    };
    std::iter::once(whole).chain(sealing).collect()
}

fn sealing(config: &Config, keyring: &Keyring) -> Option<Check> {
    let public = config.sealing_public_key.as_ref()?;
    Some(if public == keyring.sealing_public() {
        Check::ok("sealing key", "belongs to the keyring")
    } else {
        Check::warning(
            "sealing key",
            "is not the keyring's newest",
            "give the API what `patchbay keys public` prints, once every worker has this keyring",
        )
    })
}
