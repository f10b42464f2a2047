//! What a process that runs jobs needs for the outside world: the providers, with the
//! operator's base addresses, and the one HTTP client, with what the operator allows.

use std::{path::Path, sync::Arc};

use patchbay_core::{
    config::Config,
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    vault::Keyring,
};
use patchbay_providers::Registry;

use crate::exit::{Outcome, Stop};

/// The providers of this process.
pub fn providers(config: &Config) -> Outcome<Registry> {
    config
        .provider_base_urls
        .0
        .iter()
        .try_fold(Registry::builtin(), |registry, (key, url)| {
            registry
                .with_base_url(key, url.clone())
                .map_err(|error| Stop::usage(format!("providers.{key}.base_url: {error}")))
        })
}

/// The one HTTP client for everything abroad.
pub fn outbound(config: &Config) -> Outcome<Arc<Outbound>> {
    let policy = AddressPolicy {
        allow: config.outbound_allow.0.clone(),
    };
    let outbound = Outbound::new(OutboundConfig {
        policy,
        ..OutboundConfig::default()
    })
    .map_err(Stop::internal)?;
    Ok(Arc::new(outbound))
}

/// Reads the keyring. One that others may read is refused: it opens every credential.
pub fn keyring(path: &Path) -> Outcome<Keyring> {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS: u32 = 0o077;
    let keyring = Keyring::read(path).map_err(Stop::usage)?;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(Stop::usage(format!(
            "keyring file {}: its mode is {:o}, so others than its owner may read it; run `chmod 600 {}`",
            path.display(),
            mode & 0o777,
            path.display()
        )));
    }
    Ok(keyring)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_keyring_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        crate::instance::folder::write_private(&path, &Keyring::generate()).unwrap();
        keyring(&path).expect("0600 is right");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let stop = keyring(&path).expect_err("0640 is open to a group");
        assert!(stop.to_string().contains("chmod 600"), "{stop}");
    }
}
