//! What a provider declares of itself, read from its `manifest.toml` and checked
//! once at start. The gallery, the forms, validation and the docs are fed from it.
//!
//! `[auth.oauth]` says how a consent works ([`crate::oauth`]): with `kind = "oauth"` it is
//! the only way in, beside `kind = "access_token"` it is a second one. Addresses may hold
//! fields of config: `https://{shop}` ([`crate::address`]).
//!
//! No code here may depend on a certain provider.

use std::collections::{BTreeMap, BTreeSet};

use patchbay_core::{failure::Opening, outbound::Origin};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    address::{Address, fill, places_problem},
    oauth::{Oauth, is_own_parameter},
    schema::Schema,
};

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
    pub endpoints: Vec<Endpoint>,
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
    /// How fast it may be called.
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
    /// A person consents at the provider; there is no credential to paste.
    Oauth,
}

impl AuthKind {
    /// The same in the words of failures.
    #[must_use]
    pub fn opening(self) -> Opening {
        match self {
            Self::AccessToken => Opening::Credential,
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

/// How fast the provider may be called.
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

    /// The endpoint that a checked config chooses.
    #[must_use]
    pub fn endpoint(&self, config: &Value) -> &Endpoint {
        let chosen = self
            .endpoint_field
            .as_ref()
            .and_then(|field| config.get(field))
            .and_then(Value::as_str);
        chosen
            .and_then(|name| self.endpoints.iter().find(|endpoint| endpoint.name == name))
            .unwrap_or(&self.endpoints[0])
    }

    /// Root of the API for a checked config; `None` where the config was never checked and
    /// lacks what stands in the address.
    #[must_use]
    pub fn base_url(&self, config: &Value) -> Option<Url> {
        self.endpoint(config)
            .base_url
            .fill(None, &self.config, config)
    }

    /// Origins that may be given the credential: https on the hosts of the endpoint that a
    /// checked config chooses.
    #[must_use]
    pub fn credential_origins(&self, config: &Value) -> Vec<Origin> {
        let hosts = self.endpoint(config).hosts.iter();
        hosts
            .filter_map(|host| fill(host, None, &self.config, config))
            .filter_map(|host| origin(&host))
            .collect()
    }

    /// Whether a person can hand over a credential made at the provider.
    #[must_use]
    pub fn takes_credential(&self) -> bool {
        match self.auth.kind {
            AuthKind::AccessToken => true,
            AuthKind::Oauth => false,
        }
    }

    /// Whether a person can consent at the provider.
    #[must_use]
    pub fn takes_consent(&self) -> bool {
        self.auth.oauth.is_some()
    }

    /// The scopes that capabilities need, in the manifest's order; of all of them for `None`.
    #[must_use]
    pub fn scopes_for(&self, capabilities: Option<&[String]>) -> Vec<String> {
        let Some(wanted) = capabilities else {
            return self.auth.scopes.clone();
        };
        let is_wanted = |scope: &String| {
            let mut users = self.scope_users(scope).peekable();
            // What no capability claims is needed to open the account at all.
            users.peek().is_none() || users.any(|capability| wanted.contains(capability))
        };
        let scopes = self.auth.scopes.iter();
        scopes.filter(|scope| is_wanted(scope)).cloned().collect()
    }

    /// Capabilities that a grant of these scopes does not carry, each with what is missing.
    #[must_use]
    pub fn shortfall(&self, granted: &[String]) -> BTreeMap<String, Vec<String>> {
        let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for scope in self.auth.scopes.iter().filter(|one| !granted.contains(one)) {
            for capability in self.scope_users(scope) {
                let scopes = missing.entry(capability.clone()).or_default();
                if !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
        }
        missing
    }

    /// Capabilities of the streams and actions that need a scope.
    fn scope_users<'m>(&'m self, scope: &String) -> impl Iterator<Item = &'m String> {
        let streams = self.streams.iter().map(|it| (&it.scopes, &it.capability));
        let actions = self.actions.iter().map(|it| (&it.scopes, &it.capability));
        let users: Vec<&String> = streams
            .chain(actions)
            .filter(|(scopes, _)| scopes.contains(scope))
            .map(|(_, capability)| capability)
            .collect();
        users.into_iter()
    }

    fn problem(&self) -> Option<String> {
        if !is_key(&self.key) {
            return Some(format!(
                "`{}` is no key: lower case letters, digits and `_` only",
                self.key
            ));
        }
        if self.endpoints.is_empty() {
            return Some("no endpoint".into());
        }
        self.config.problem().or_else(|| {
            self.endpoints
                .iter()
                .find_map(|endpoint| endpoint.problem(&self.config))
                .or_else(|| self.auth_problem())
                .or_else(|| self.endpoint_field_problem())
                .or_else(|| repeated("capability", self.capabilities.iter().map(|it| &it.key)))
                .or_else(|| repeated("stream", self.streams.iter().map(|it| &it.key)))
                .or_else(|| repeated("action", self.actions.iter().map(|it| &it.key)))
                .or_else(|| self.unknown_capability())
                .or_else(|| self.stream_problem())
                .or_else(|| self.action_problem())
        })
    }

    fn auth_problem(&self) -> Option<String> {
        let is_open = self.takes_credential() == self.config.secret_fields().next().is_some();
        match &self.auth.oauth {
            _ if !is_open => {
                Some("secret fields of config and the way in contradict each other".into())
            }
            None if self.auth.kind == AuthKind::Oauth => Some("no section auth.oauth".into()),
            None if self.auth.pkce != Pkce::Off => Some("a proof key without a consent".into()),
            None => None,
            Some(oauth) => oauth
                .problem(&self.config)
                .map(|problem| format!("auth.oauth: {problem}")),
        }
    }

    fn endpoint_field_problem(&self) -> Option<String> {
        let field = self.endpoint_field.as_ref()?;
        let Some(property) = self.config.properties.get(field) else {
            return Some(format!("endpoint_field `{field}` is no field of config"));
        };
        let names: Vec<&String> = self
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.name)
            .collect();
        let unknown = property
            .choices
            .iter()
            .find(|choice| !names.contains(choice));
        if property.choices.is_empty() {
            return Some(format!(
                "field `{field}` names the endpoint and must list its choices"
            ));
        }
        unknown.map(|choice| format!("`{choice}` of field `{field}` is no endpoint"))
    }

    fn unknown_capability(&self) -> Option<String> {
        let known: BTreeSet<&str> = self.capabilities.iter().map(|it| it.key.as_str()).collect();
        let used = self
            .streams
            .iter()
            .map(|it| &it.capability)
            .chain(self.actions.iter().map(|it| &it.capability));
        used.into_iter()
            .find(|key| !known.contains(key.as_str()))
            .map(|key| format!("capability `{key}` is not declared"))
    }

    fn stream_problem(&self) -> Option<String> {
        self.streams.iter().find_map(|stream| {
            if stream.modes.is_empty() {
                return Some(format!("stream `{}` has no mode", stream.key));
            }
            self.scope_not_asked("stream", &stream.key, &stream.scopes)
        })
    }

    fn action_problem(&self) -> Option<String> {
        self.actions.iter().find_map(|action| {
            let secret = action.input.secret_fields().next();
            let secret = secret.map(|field| {
                format!(
                    "field `{field}` of action `{}` is secret: inputs are kept in clear",
                    action.key
                )
            });
            let input = || {
                let problem = action.input.problem()?;
                Some(format!("input of action `{}`: {problem}", action.key))
            };
            secret
                .or_else(input)
                .or_else(|| self.scope_not_asked("action", &action.key, &action.scopes))
        })
    }

    fn scope_not_asked(&self, what: &str, key: &str, scopes: &[String]) -> Option<String> {
        let foreign = scopes
            .iter()
            .find(|scope| !self.auth.scopes.contains(scope))?;
        Some(format!(
            "scope `{foreign}` of {what} `{key}` is not asked for"
        ))
    }
}

impl Endpoint {
    fn problem(&self, schema: &Schema) -> Option<String> {
        let name = &self.name;
        if let Some(problem) = self.base_url.problem(schema, false) {
            return Some(format!("base_url of endpoint `{name}`: {problem}"));
        }
        if let Some(problem) = self
            .hosts
            .iter()
            .find_map(|host| places_problem(host, schema))
        {
            return Some(format!("hosts of endpoint `{name}`: {problem}"));
        }
        let is_there = |host: &String| origin(&host.replace(['{', '}'], "")).is_some();
        if !self.hosts.iter().all(is_there) {
            return Some(format!("a host of endpoint `{name}` is malformed"));
        }
        if !self.hosts.iter().any(|host| self.base_url.is_on(host)) {
            return Some(format!(
                "the base_url of endpoint `{name}` is not among its hosts"
            ));
        }
        let own = self
            .consent_parameters
            .keys()
            .find(|it| is_own_parameter(it))?;
        Some(format!(
            "consent_parameters of endpoint `{name}`: `{own}` belongs to the flow"
        ))
    }
}

/// The origin of an https host.
fn origin(host: &str) -> Option<Origin> {
    Origin::of(&Url::parse(&format!("https://{host}")).ok()?).ok()
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn repeated<'m>(what: &str, mut keys: impl Iterator<Item = &'m String>) -> Option<String> {
    let mut seen = BTreeSet::new();
    keys.find_map(|key| {
        if !is_key(key) {
            Some(format!(
                "`{key}` is no key of a {what}: lower case letters, digits and `_` only"
            ))
        } else if !seen.insert(key) {
            Some(format!("{what} `{key}` is declared twice"))
        } else {
            None
        }
    })
}
