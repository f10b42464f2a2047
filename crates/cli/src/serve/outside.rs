//! What a process that runs jobs needs for the outside world: the providers, with the
//! operator's base addresses, and the one HTTP client, with what the operator allows.

use std::{path::Path, sync::Arc};

use patchbay_api::ConsentSettings;
use patchbay_core::{
    breaker::Breakers,
    config::Config,
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    store::Store,
    vault::Keyring,
};
use patchbay_providers::{Registry, oauth::OauthClient};
use patchbay_worker::OauthClients;

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

/// The deployment's OAuth clients, with the secrets that only workers hold.
pub fn oauth_clients(config: &Config) -> Outcome<OauthClients> {
    let registry = Registry::builtin();
    let (ids, secrets) = (&config.oauth_client_ids.0, &config.oauth_client_secrets.0);
    check_named(&registry, "client_id", ids.keys())?;
    check_named(&registry, "client_secret", secrets.keys())?;
    if let Some(key) = secrets.keys().find(|key| !ids.contains_key(*key)) {
        return Err(Stop::usage(format!(
            "oauth.{key}.client_secret is set without oauth.{key}.client_id: set both"
        )));
    }
    let clients = ids.iter().map(|(key, id)| {
        let client = OauthClient {
            id: id.0.clone(),
            secret: secrets.get(key).map(|secret| secret.0.clone()),
        };
        (key.clone(), client)
    });
    Ok(OauthClients::new(clients.collect()))
}

/// What an API process knows of consents: no secret.
pub fn consent_settings(config: &Config) -> Outcome<ConsentSettings> {
    check_named(
        &Registry::builtin(),
        "client_id",
        config.oauth_client_ids.0.keys(),
    )?;
    Ok(ConsentSettings::of(config))
}

/// Clients are set for providers that are connected by consent, and for no others.
fn check_named<'a>(
    registry: &Registry,
    setting: &str,
    mut keys: impl Iterator<Item = &'a String>,
) -> Outcome {
    let has_consent = |key: &str| {
        let provider = registry.get(key);
        provider.is_some_and(|provider| provider.manifest().takes_consent())
    };
    match keys.find(|key| !has_consent(key)) {
        None => Ok(()),
        Some(key) => {
            let known: Vec<&str> = registry
                .all()
                .map(|provider| provider.manifest())
                .filter(|manifest| manifest.takes_consent())
                .map(|manifest| manifest.key.as_str())
                .collect();
            Err(Stop::usage(format!(
                "oauth.{key}.{setting}: `{key}` is no provider that is connected by consent; there are: {}",
                known.join(", ")
            )))
        }
    }
}

/// Where traffic may go.
pub fn addresses(config: &Config) -> AddressPolicy {
    AddressPolicy {
        allow: config.outbound_allow.0.clone(),
    }
}

/// The one HTTP client for everything abroad, with the circuit breakers of the fleet.
pub fn outbound(config: &Config, store: &Store) -> Outcome<Arc<Outbound>> {
    let outbound = Outbound::new(OutboundConfig {
        policy: addresses(config),
        ..OutboundConfig::default()
    })
    .map_err(Stop::internal)?;
    let breakers = Arc::new(Breakers::new(store.clone()));
    Ok(Arc::new(outbound.with_breakers(breakers)))
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
