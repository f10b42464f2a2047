//! The keys: is the keyring whole and private, does the API's public key belong to it?

use patchbay_core::config::Config;

use super::Check;
use crate::serve::outside;

pub fn look(config: &Config, is_fleet: bool) -> Vec<Check> {
    let own = config.data_dir.join("keyring.toml");
    let path = match (&config.keyring_file, is_fleet) {
        (Some(path), _) => path,
        (None, false) if own.exists() => &own,
        (None, _) => {
            return vec![Check::skipped(
                "keyring",
                "none here; only workers need one",
            )];
        }
    };
    let keyring = match outside::keyring(path) {
        Ok(keyring) => keyring,
        Err(stop) => {
            return vec![Check::broken(
                "keyring",
                stop.to_string(),
                "without it no credential opens",
            )];
        }
    };
    let whole = Check::ok(
        "keyring",
        format!("{} is whole and private", path.display()),
    );
    match &config.sealing_public_key {
        Some(public) if public == keyring.sealing_public() => {
            vec![whole, Check::ok("sealing key", "belongs to the keyring")]
        }
        Some(_) => vec![
            whole,
            Check::warning(
                "sealing key",
                "is not the keyring's newest",
                "give the API what `patchbay keys public` prints, once every worker has this keyring",
            ),
        ],
        None => vec![whole],
    }
}
