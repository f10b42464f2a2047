//! Every provider, on one screen. To add one: its folder, its line in `builtin`.

use std::{collections::BTreeMap, sync::Arc};

use patchbay_core::{
    clock::Clock,
    outbound::{Origin, Outbound, OutboundError, Subject},
    secret::SecretFields,
};
use serde_json::Value;
use url::Url;

use crate::{
    backoff::Backoff, etsy::Etsy, google_drive::GoogleDrive, oauth::OauthPlace, provider::Provider,
    session::Session, shopify::Shopify, slack::Slack, smtp::Smtp, square::Square,
};

/// The providers of this process.
#[derive(Debug, Clone)]
pub struct Registry {
    providers: BTreeMap<String, Arc<dyn Provider>>,
    overrides: BTreeMap<String, (Url, Origin)>,
}

/// A base URL was given for a provider that is not there, or is none.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// No such provider.
    #[error("there is no provider `{key}`; there are: {known}")]
    Unknown {
        /// As given.
        key: String,
        /// What there is.
        known: String,
    },
    /// Not an http address.
    #[error("base URL of provider `{key}`: {source}")]
    Address {
        /// As given.
        key: String,
        /// Why.
        source: OutboundError,
    },
}

impl Registry {
    /// All providers.
    #[must_use]
    pub fn builtin() -> Self {
        let all: Vec<Arc<dyn Provider>> = vec![
            Arc::new(Etsy::new()),
            Arc::new(GoogleDrive::new()),
            Arc::new(Shopify::new()),
            Arc::new(Slack::new()),
            Arc::new(Smtp::new()),
            Arc::new(Square::new()),
        ];
        let providers = all
            .into_iter()
            .map(|provider| (provider.manifest().key.clone(), provider))
            .collect();
        Self {
            providers,
            overrides: BTreeMap::new(),
        }
    }

    /// With one provider more, or another in place of the one of its key.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn Provider>) -> Self {
        let key = provider.manifest().key.clone();
        self.providers.insert(key, provider);
        self
    }

    /// Another root for a provider's API: a stand-in, or a variant on own premises.
    /// The credential then goes to that origin and to no other.
    ///
    /// # Errors
    /// No such provider, or no http address.
    pub fn with_base_url(mut self, key: &str, url: Url) -> Result<Self, OverrideError> {
        if !self.providers.contains_key(key) {
            let known = self
                .providers
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            return Err(OverrideError::Unknown {
                key: key.into(),
                known,
            });
        }
        let origin = Origin::of(&url).map_err(|source| OverrideError::Address {
            key: key.into(),
            source,
        })?;
        self.overrides.insert(key.into(), (url, origin));
        Ok(self)
    }

    /// A provider by its key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.get(key)
    }

    /// All providers in the order of their keys.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.values()
    }

    /// Opens a connection of `provider` for work: picks the API's root and the
    /// hosts that may see the credential.
    #[must_use]
    pub fn open(
        &self,
        provider: &dyn Provider,
        outbound: Arc<Outbound>,
        clock: Arc<dyn Clock>,
        config: Value,
        secret: SecretFields,
        trace_context: Option<String>,
    ) -> Session {
        let manifest = provider.manifest();
        let (base_url, credential_origins) = match self.overrides.get(&manifest.key) {
            Some((url, origin)) => (url.clone(), vec![origin.clone()]),
            None => match manifest.base_url(&config) {
                Some(base_url) => (base_url, manifest.credential_origins(&config)),
                // A config that was never checked leads nowhere, and nothing may be sent there.
                None => (nowhere(), Vec::new()),
            },
        };
        Session {
            outbound,
            base_url,
            credential_origins,
            config,
            secret,
            clock,
            subject: Subject {
                provider: manifest.key.as_str().into(),
                label: manifest.label.as_str().into(),
                exempt: false,
            },
            trace_context,
            backoff: Backoff::default(),
            client: None,
            effect: None,
        }
    }

    /// Where calls of a provider go for a checked config: its API or the server that config
    /// names, and where its grants are exchanged and ended.
    #[must_use]
    pub fn origins(&self, key: &str, config: &Value) -> Vec<Origin> {
        let Some(provider) = self.get(key) else {
            return Vec::new();
        };
        let manifest = provider.manifest();
        let mut origins = match (self.overrides.get(key), manifest.base_url(config)) {
            (Some((_, origin)), _) => vec![origin.clone()],
            (None, Some(url)) => match Origin::of(&url) {
                Ok(origin) => vec![origin],
                // No HTTP.
                Err(_) => manifest.credential_origins(config),
            },
            (None, None) => Vec::new(),
        };
        origins.extend(
            self.oauth(&**provider, config)
                .map(|place| place.origins)
                .unwrap_or_default(),
        );
        origins
    }

    /// Where a provider's consent lives for a checked config: as its manifest says, or
    /// under the operator's base address, which keeps the path of each address and
    /// replaces what is before it. `None`: the provider has no consent.
    #[must_use]
    pub fn oauth(&self, provider: &dyn Provider, config: &Value) -> Option<OauthPlace> {
        let manifest = provider.manifest();
        let instead = self.overrides.get(&manifest.key).map(|(url, _)| url);
        OauthPlace::of(manifest, config, instead)
    }
}

/// An address that never resolves (RFC 6761, section 6.4).
fn nowhere() -> Url {
    Url::parse("https://unset.invalid").expect("a plain address")
}
