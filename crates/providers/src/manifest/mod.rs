//! What a provider declares of itself, read from its `manifest.toml` and checked
//! once at start. The gallery, the forms, validation and the docs are fed from it.
//!
//! `[auth.oauth]` says how a consent works ([`crate::oauth`]): with `kind = "oauth"` it is
//! the only way in, beside `kind = "access_token"` it is a second one. Addresses may hold
//! fields of config: `https://{shop}` ([`crate::address`]).
//!
//! No code here may depend on a certain provider.

mod problems;
mod quota;
mod scopes;
mod target;

use std::collections::BTreeMap;

use patchbay_core::{failure::Opening, outbound::Origin};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    address::{Address, fill},
    oauth::Oauth,
    schema::Schema,
};

pub use quota::Quota;
pub use target::Target;

/// A provider's declaration. Serializes as the gallery shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Stable name in addresses and in the database.
    pub key: String,
    /// Name for people.
    pub label: String,
    /// What kind of system it is.
    pub category: Category,
    /// One or two sentences for the gallery.
    pub description: String,
    /// The provider's own documentation.
    pub docs: Url,
    /// One connection per org while not disconnected.
    pub exclusive: bool,
    /// What a business notices when the connection fails.
    pub impact: String,
    /// How an account is opened.
    pub auth: Auth,
    /// Where its API lives; the first is used unless config says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// In place of endpoints: config names the server, which speaks another protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Config field that names the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_field: Option<String>,
    /// What a person fills in, secret fields included.
    #[serde(default)]
    pub config: Schema,
    /// What a connection may do; each can be switched off.
    pub capabilities: Vec<Capability>,
    /// What can be pulled.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// What can be done at the provider.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Limits per hour and day that config sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// How fast it may be called: information only.
    pub rate_limit: RateLimit,
}

/// Kinds of external systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Point of sale.
    Pos,
    /// Web shop of one's own.
    Ecommerce,
    /// Shop on somebody's market.
    Marketplace,
    /// Files.
    Storage,
    /// Chat.
    Messaging,
    /// Mail.
    Email,
}

/// How an account is opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The way in.
    pub kind: AuthKind,
    /// Proof key for code exchange (RFC 7636) in consents.
    pub pkce: Pkce,
    /// What the credential must be allowed to do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How a person consents at the provider, where they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<Oauth>,
}

/// Ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// A person pastes a token made at the provider.
    AccessToken,
    /// A person fills in the secret fields of an account of their own: a password, say. An
    /// account may be open without.
    Fields,
    /// A person consents at the provider; there is no credential to paste.
    Oauth,
}

impl AuthKind {
    /// The same in the words of failures.
    #[must_use]
    pub fn opening(self) -> Opening {
        match self {
            Self::AccessToken | Self::Fields => Opening::Credential,
            Self::Oauth => Opening::Consent,
        }
    }
}

/// Proof key for code exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pkce {
    /// The provider refuses consents without it.
    Required,
    /// The provider takes it.
    On,
    /// The provider does not know it, or there is no consent.
    Off,
}

/// One place where the API lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Name, as the endpoint field of config says it.
    pub name: String,
    /// Root of the API.
    pub base_url: Address,
    /// Hosts (https) that may be given the credential.
    pub hosts: Vec<String>,
    /// What this endpoint adds to the address of a consent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consent_parameters: BTreeMap<String, String>,
}

/// Something a connection may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// `sync_catalog`.
    pub key: String,
    /// For people.
    pub label: String,
}

/// A kind of record that a sync pulls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// `catalog`.
    pub key: String,
    /// For people.
    pub label: String,
    /// What is counted: `objects`.
    pub unit: String,
    /// The capability it belongs to.
    pub capability: String,
    /// How much of it can be asked for.
    pub modes: Vec<Mode>,
    /// What the credential must be allowed to do for it.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// How much of a stream a sync asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What changed since the cursor.
    Incremental,
    /// What is dated within two times.
    Range,
    /// Everything.
    Full,
}

/// Something that can be done at the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// `post_product`.
    pub key: String,
    /// For people.
    pub label: String,
    /// The capability it belongs to.
    pub capability: String,
    /// May be done again without harm: it reads, or the provider takes a key against
    /// repeats. Else a job that may have done it is never done again by itself.
    #[serde(default)]
    pub repeatable: bool,
    /// What the credential must be allowed to do for it.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What it is given: the same subset of JSON Schema as `config`, without secrets.
    #[serde(default)]
    pub input: Schema,
}

/// How fast the provider may be called, for people who plan syncs: no call is held back for it.
/// A provider that is called too fast says so; that is waited out, first in the call
/// ([`crate::Backoff`]), then by the job, which burns no attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Calls per account...
    pub requests: u32,
    /// ...in this many seconds.
    pub per_seconds: u32,
    /// Where the numbers come from.
    pub source: String,
}

/// A manifest that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest of `{key}`: {problem}")]
pub struct ManifestError {
    /// Whose.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

impl Manifest {
    /// Reads and checks a `manifest.toml`.
    ///
    /// # Errors
    /// It is no manifest, or it contradicts itself.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError {
            key: "?".into(),
            problem: error.to_string(),
        })?;
        match manifest.problem() {
            Some(problem) => Err(ManifestError {
                key: manifest.key,
                problem,
            }),
            None => Ok(manifest),
        }
    }

    /// A stream by its key.
    #[must_use]
    pub fn stream(&self, key: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.key == key)
    }

    /// An action by its key.
    #[must_use]
    pub fn action(&self, key: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.key == key)
    }

    /// The endpoint that a checked config chooses; `None` where config names a target.
    #[must_use]
    pub fn endpoint(&self, config: &Value) -> Option<&Endpoint> {
        let chosen = self
            .endpoint_field
            .as_ref()
            .and_then(|field| config.get(field))
            .and_then(Value::as_str);
        chosen
            .and_then(|name| self.endpoints.iter().find(|endpoint| endpoint.name == name))
            .or(self.endpoints.first())
    }

    /// Root of the API for a checked config; `None` where the config was never checked and
    /// lacks what stands in the address.
    #[must_use]
    pub fn base_url(&self, config: &Value) -> Option<Url> {
        if let Some(target) = &self.target {
            let origin = target.origin(&self.config, config)?;
            return Url::parse(&origin.to_string()).ok();
        }
        self.endpoint(config)?
            .base_url
            .fill(None, &self.config, config)
    }

    /// Origins that may be given the credential: https on the hosts of the endpoint that a
    /// checked config chooses, or the target that it names.
    #[must_use]
    pub fn credential_origins(&self, config: &Value) -> Vec<Origin> {
        if let Some(target) = &self.target {
            return target.origin(&self.config, config).into_iter().collect();
        }
        let hosts = self.endpoint(config).map(|endpoint| endpoint.hosts.iter());
        hosts
            .into_iter()
            .flatten()
            .filter_map(|host| fill(host, None, &self.config, config))
            .filter_map(|host| origin(&host))
            .collect()
    }
}

/// The origin of an https host.
fn origin(host: &str) -> Option<Origin> {
    Origin::of(&Url::parse(&format!("https://{host}")).ok()?).ok()
}
