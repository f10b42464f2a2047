//! What consents need of the operator's settings. No secret is among it.

use std::collections::BTreeMap;

use patchbay_core::config::{Config, OpenerOrigin, PublicUrl, ReturnUrls};
use url::Url;

use crate::access::BASE;

/// The settings of consents, as an API process knows them.
#[derive(Debug, Clone, Default)]
pub struct ConsentSettings {
    /// Where browsers reach this deployment; without it there are no consents.
    pub public_url: Option<PublicUrl>,
    /// The deployment's client id by provider key.
    pub client_ids: BTreeMap<String, String>,
    /// Whose page is told how a consent ended.
    pub opener_origin: Option<OpenerOrigin>,
    /// Where a browser may be sent at the end.
    pub return_urls: ReturnUrls,
}

impl ConsentSettings {
    /// Those of the configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let ids = config.oauth_client_ids.0.iter();
        Self {
            public_url: config.public_url.clone(),
            client_ids: ids.map(|(key, id)| (key.clone(), id.0.clone())).collect(),
            opener_origin: config.consent_opener_origin.clone(),
            return_urls: config.consent_return_urls.clone(),
        }
    }
}

/// Where a provider sends browsers back to; registered there, letter for letter.
#[must_use]
pub fn redirect_uri(public_url: &PublicUrl, provider: &str) -> Url {
    public_url.join(&format!("{BASE}/callback/{provider}"))
}
