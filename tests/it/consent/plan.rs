//! What a desk is made of: settings, providers, apps.

use std::collections::BTreeMap;

use patchbay_api::ConsentSettings;
use patchbay_core::{
    config::{Config, Inputs},
    secret::Secret,
};
use patchbay_providers::{Registry, oauth::OauthClient};
use patchbay_sandbox::{google, square};

use super::desk::PUBLIC_URL;

/// What a desk is made of.
pub struct Plan {
    pub postgres: bool,
    /// Settings, as in a configuration file.
    pub settings: Vec<(&'static str, String)>,
    /// The providers, given the stand-in's ones.
    pub registry: Box<dyn FnOnce(Registry) -> Registry>,
    /// Whether the workers may reach this machine.
    pub reaches_loopback: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            postgres: false,
            settings: Vec::new(),
            registry: Box::new(|registry| registry),
            reaches_loopback: true,
        }
    }
}

impl Plan {
    pub fn with(setting: &'static str, value: &str) -> Self {
        Self::default().and(setting, value)
    }

    pub fn and(mut self, setting: &'static str, value: &str) -> Self {
        self.settings.push((setting, value.to_owned()));
        self
    }
}

pub fn clients() -> BTreeMap<String, OauthClient> {
    let client = |id: &str, secret: &str| OauthClient {
        id: id.into(),
        secret: Some(Secret::new(secret)),
    };
    [
        (
            "square".to_owned(),
            client(square::oauth::CLIENT_ID, square::oauth::CLIENT_SECRET),
        ),
        (
            "google_drive".to_owned(),
            client(google::oauth::CLIENT_ID, google::oauth::CLIENT_SECRET),
        ),
        (
            "testbed".to_owned(),
            client("patchbay", "a-secret-of-the-deployment"),
        ),
    ]
    .into()
}

pub fn settings(more: &[(&'static str, String)]) -> ConsentSettings {
    let mut flags = vec![("public_url".to_owned(), PUBLIC_URL.to_owned())];
    for (key, client) in clients() {
        flags.push((format!("oauth.{key}.client_id"), client.id));
    }
    flags.extend(
        more.iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone())),
    );
    let inputs = Inputs {
        flags,
        ..Inputs::default()
    };
    let config: Config = patchbay_core::config::load(&inputs).unwrap().config;
    ConsentSettings::of(&config)
}
