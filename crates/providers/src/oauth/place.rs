//! Where a provider's consent lives for one connection's config.

use std::collections::BTreeMap;

use patchbay_core::outbound::Origin;
use serde_json::Value;
use url::Url;

use super::rules::Oauth;
use crate::{
    address::Address,
    manifest::{Manifest, Pkce},
};

/// The addresses of a consent, with the rules that hold there.
#[derive(Debug, Clone, PartialEq)]
pub struct OauthPlace {
    /// Key of the provider.
    pub provider: String,
    /// Its name for people.
    pub label: String,
    /// Where the browser goes.
    pub authorize: Url,
    /// The token endpoint.
    pub token: Url,
    /// Where a token that lives for an hour becomes one that lives for weeks.
    pub long_lived: Option<Url>,
    /// Where a grant is ended; `None`: only the account's owner can end it, at the provider.
    pub revoke: Option<Url>,
    /// The only origins that may be sent a code, a token or the client's secret.
    pub origins: Vec<Origin>,
    /// What `iss` on a callback must say (RFC 9207).
    pub issuer: Option<String>,
    /// Whether the consent is asked for with a proof key.
    pub pkce: Pkce,
    /// Parameters of the consent's address beside the standard ones.
    pub parameters: BTreeMap<String, String>,
    /// What else is particular here.
    pub rules: Oauth,
}

impl OauthPlace {
    /// The place for a config. `instead` replaces scheme, host and port of every address
    /// and is put before its path: a stand-in, or a proxy of the operator's.
    pub(crate) fn of(manifest: &Manifest, config: &Value, instead: Option<&Url>) -> Option<Self> {
        let rules = manifest.auth.oauth.clone()?;
        let base = manifest.base_url(config)?;
        let at = |address: &Address| {
            let url = address.fill(Some(&base), &manifest.config, config)?;
            Some(match instead {
                Some(root) => moved(&url, root),
                None => url,
            })
        };
        let authorize = at(&rules.authorize)?;
        let token = at(&rules.token)?;
        let long_lived = match &rules.long_lived {
            Some(long_lived) => Some(at(&long_lived.address)?),
            None => None,
        };
        let revoke = match &rules.revocation {
            Some(revocation) => Some(at(&revocation.address)?),
            None => None,
        };
        let issuer = match &rules.issuer {
            // Issuers are compared letter by letter, and no known one ends with a slash.
            Some(issuer) => Some(at(issuer)?.as_str().trim_end_matches('/').to_owned()),
            None => None,
        };
        let mut origins = Vec::new();
        let told = [Some(&token), long_lived.as_ref(), revoke.as_ref()];
        for url in told.into_iter().flatten() {
            let origin = Origin::of(url).ok()?;
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        let mut parameters = rules.authorize_parameters.clone();
        parameters.extend(manifest.endpoint(config)?.consent_parameters.clone());
        Some(Self {
            provider: manifest.key.clone(),
            label: manifest.label.clone(),
            authorize,
            token,
            long_lived,
            revoke,
            origins,
            issuer,
            pkce: manifest.auth.pkce,
            parameters,
            rules,
        })
    }
}

/// An address under another root.
fn moved(url: &Url, root: &Url) -> Url {
    let mut moved = root.clone();
    let prefix = root.path().trim_end_matches('/');
    moved.set_path(&format!("{prefix}{}", url.path()));
    moved
}
