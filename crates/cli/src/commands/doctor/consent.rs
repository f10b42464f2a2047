//! Consents: does every provider that is connected by consent have an app, and do browsers
//! find the way back?

use patchbay_core::config::Config;
use patchbay_providers::Registry;

use super::Check;
use crate::serve::outside;

pub fn look(config: &Config, is_fleet: bool) -> Check {
    const NAME: &str = "consents";
    if let Err(stop) = outside::oauth_clients(config) {
        return Check::broken(NAME, stop.to_string(), "correct the settings oauth.*");
    }
    let ids = &config.oauth_client_ids.0;
    let registry = Registry::builtin();
    let manifests = registry.all().map(|provider| provider.manifest());
    let (with, without): (Vec<_>, Vec<_>) = manifests
        .filter(|manifest| manifest.takes_consent())
        .map(|manifest| manifest.key.as_str())
        .partition(|key| ids.contains_key(*key));
    if with.is_empty() {
        return Check::skipped(
            NAME,
            "no provider has an app of this deployment (settings oauth.*)",
        );
    }
    if config.public_url.is_none() && (is_fleet || !config.listen.ip().is_loopback()) {
        return Check::warning(
            NAME,
            "public_url is not set, so no consent can be asked for",
            "set it to the address at which browsers reach the API",
        );
    }
    let mut found = format!("an app for {}", with.join(", "));
    if !without.is_empty() {
        found = format!("{found}; none for {}", without.join(", "));
    }
    Check::ok(NAME, found)
}
