//! How a provider's consent differs from the standard, as data: the section
//! `[auth.oauth]` of its manifest.
//!
//! Addresses may hold `{base}` (the endpoint's base address) and fields of config that
//! have a pattern. All are https. What an endpoint adds to the consent's address
//! (Square's `session=false` in production) stands with the endpoint, as
//! `consent_parameters`.

use std::collections::BTreeMap;

use patchbay_core::outbound::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::long_lived::LongLived;
use crate::{address::Address, schema::Schema};

/// A provider's consent. Left out, every field is as RFC 6749 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth {
    /// Where the browser goes.
    pub authorize: Address,
    /// Where codes and refresh tokens are exchanged.
    pub token: Address,
    /// What a code brings lives for an hour, and is exchanged once more (Instagram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_lived: Option<LongLived>,
    /// How a grant is ended; left out where the provider has no call for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// What `iss` on the callback must say (RFC 9207).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Address>,
    /// The provider says that it always sends `iss`: a callback without it is refused.
    #[serde(default)]
    pub issuer_advertised: bool,
    /// How the client proves itself at the token endpoint.
    pub client: ClientAuth,
    /// Every call of the API itself carries the client's id and secret (Etsy), whatever the
    /// token endpoint wants.
    #[serde(default)]
    pub client_in_api: bool,
    /// What the token endpoint is sent.
    #[serde(default)]
    pub body: TokenBody,
    /// Headers of token calls that are not secret, such as a version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Between two scopes, in requests and answers.
    #[serde(default)]
    pub scope_separator: ScopeSeparator,
    /// Parameter of the consent's address that lists the scopes.
    #[serde(default = "scope")]
    pub scope_parameter: String,
    /// Parameters of the consent's address beside the standard ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Parameters of the exchange of a code beside the standard ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exchange_parameters: BTreeMap<String, String>,
    /// Standard parameters that the exchange of a code leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchange_omits: Vec<String>,
    /// How an answer says when its token expires.
    pub expiry: Expiry,
    /// What becomes of refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Objects of the answer where the tokens stand, as JSON pointers; the first one that
    /// has an `access_token` counts. Left out: the answer itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_at: Vec<String>,
    /// `token_type`s besides `bearer` that are used like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_types: Vec<String>,
    /// Answers with status 200 say by this field whether they are a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok_field: Option<String>,
    /// The provider's own codes for "this code or token is no longer good".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Its own codes for "your app is set up wrongly".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misconfigured: Vec<String>,
    /// Its own codes for "not now".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<String>,
    /// What the callback proves beside its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackProof>,
    /// Where a person makes the client at the provider, for the gallery.
    pub setup: url::Url,
}

fn scope() -> String {
    "scope".into()
}

/// How the client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the body.
    Body,
    /// HTTP Basic (RFC 6749, section 2.3.1).
    Basic,
    /// A public client: `client_id` in the body, and PKCE.
    None,
}

/// What the token endpoint is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenBody {
    /// `application/x-www-form-urlencoded`, the standard.
    #[default]
    Form,
    /// A JSON object of texts.
    Json,
}

/// Between two scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeSeparator {
    /// The standard.
    #[default]
    Space,
    /// Slack, Shopify.
    Comma,
}

impl ScopeSeparator {
    pub(super) fn char(self) -> char {
        match self {
            Self::Space => ' ',
            Self::Comma => ',',
        }
    }
}

/// How an answer says when its access token expires. Left out of an answer, the token is
/// taken to live until it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// `expires_in`: whole seconds, a number (`refresh_token_expires_in` likewise).
    ExpiresIn,
    /// As `expires_in`, but some answers write the number as a text.
    ExpiresInText,
    /// `expires_at`: RFC 3339 (`refresh_token_expires_at` likewise).
    ExpiresAt,
    /// Tokens do not expire.
    Never,
}

/// What becomes of refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokens {
    /// There are none.
    None,
    /// One works again and again.
    Kept,
    /// Each works once and brings the next.
    Rotated,
}

/// How a grant is ended at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Where.
    pub address: Address,
    /// How.
    #[serde(default)]
    pub method: RevokeMethod,
    /// What is sent as body.
    pub body: RevokeBody,
    /// Where the token stands.
    pub token: RevokeToken,
    /// Codes of an answer that says: this grant has ended before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
}

/// Verb of a revocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeMethod {
    /// POST.
    #[default]
    Post,
    /// DELETE.
    Delete,
}

/// Body of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeBody {
    /// A form (RFC 7009).
    Form,
    /// A JSON object.
    Json,
    /// Nothing.
    None,
}

/// Where the token of a revocation stands, and how the client proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeToken {
    /// In the body as `token`, the refresh token before the access token; the client
    /// proves itself as at the token endpoint (RFC 7009).
    Body,
    /// In the body as `token` alone (Google): who has the token may end it.
    BodyAlone,
    /// In the body as `access_token` beside `client_id`; `Authorization: Client <secret>`
    /// proves the client (Square).
    BodyWithClientHeader,
    /// The access token, as `Authorization: Bearer` (Slack).
    Bearer,
    /// The access token, as `X-Shopify-Access-Token`.
    ShopifyHeader,
}

impl RevokeToken {
    /// The call is made with the access token alone, which may have to be renewed for it.
    pub(super) fn needs_live_access(self) -> bool {
        match self {
            Self::Body | Self::BodyAlone => false,
            Self::BodyWithClientHeader | Self::Bearer | Self::ShopifyHeader => true,
        }
    }
}

/// A callback whose query is signed with the client's secret (Shopify).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackProof {
    /// Parameter with the HMAC-SHA256, in hex, of all others but `unsigned`, sorted by
    /// name and form-encoded.
    pub hmac: String,
    /// Parameters that are not signed, besides the signature itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsigned: Vec<String>,
    /// Parameter with the time it was made, in seconds since 1970.
    pub timestamp: String,
    /// How far that may be from now, either way.
    pub max_age_seconds: u32,
    /// Parameters that must say what a field of config says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub same_as_config: BTreeMap<String, String>,
}

/// Parameters that only the flow itself may set.
const OWN_PARAMETERS: [&str; 13] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "grant_type",
    "refresh_token",
    "token",
    "access_token",
];

impl Oauth {
    /// Whether a client without a secret is of no use here.
    #[must_use]
    pub fn needs_secret(&self) -> bool {
        self.client != ClientAuth::None || self.client_in_api
    }

    /// What is wrong with the section.
    pub(crate) fn problem(&self, schema: &Schema) -> Option<String> {
        let revocation = self.revocation.as_ref().map(|it| &it.address);
        let long_lived = self.long_lived.as_ref().map(|it| &it.address);
        let addresses = [
            Some(&self.authorize),
            Some(&self.token),
            long_lived,
            revocation,
        ];
        addresses
            .into_iter()
            .flatten()
            .find_map(|address| address.problem(schema, true))
            .or_else(|| self.issuer.as_ref()?.problem(schema, true))
            .or_else(|| {
                (self.issuer_advertised && self.issuer.is_none())
                    .then(|| "an issuer is advertised, but none is named".into())
            })
            .or_else(|| self.long_lived.as_ref()?.problem())
            .or_else(|| self.parameter_problem())
            .or_else(|| self.header_problem())
            .or_else(|| self.pointer_problem())
            .or_else(|| self.code_problem())
            .or_else(|| self.callback_problem(schema))
    }

    fn parameter_problem(&self) -> Option<String> {
        let own = self
            .authorize_parameters
            .keys()
            .chain(self.exchange_parameters.keys())
            .chain([&self.scope_parameter])
            .find(|name| is_own_parameter(name));
        if let Some(name) = own {
            return Some(format!("the parameter `{name}` belongs to the flow"));
        }
        let unknown = self
            .exchange_omits
            .iter()
            .find(|name| !matches!(name.as_str(), "grant_type" | "redirect_uri"))?;
        Some(format!("`{unknown}` cannot be left out of an exchange"))
    }

    fn header_problem(&self) -> Option<String> {
        self.headers
            .iter()
            .find(|(name, value)| header(name, value).is_none())
            .map(|(name, _)| format!("the header `{name}` is malformed"))
    }

    fn pointer_problem(&self) -> Option<String> {
        self.grant_at
            .iter()
            .find(|pointer| !pointer.is_empty() && !pointer.starts_with('/'))
            .map(|pointer| format!("`{pointer}` is no JSON pointer"))
    }

    fn code_problem(&self) -> Option<String> {
        let mut all: Vec<&String> = self
            .refused
            .iter()
            .chain(&self.misconfigured)
            .chain(&self.later)
            .collect();
        all.sort();
        all.windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| format!("the error code `{}` is listed twice", pair[0]))
    }

    fn callback_problem(&self, schema: &Schema) -> Option<String> {
        let proof = self.callback.as_ref()?;
        if self.client == ClientAuth::None {
            return Some("a callback signed with the secret of a client without one".into());
        }
        let unknown = proof
            .same_as_config
            .values()
            .find(|field| !schema.properties.contains_key(*field))?;
        Some(format!("`{unknown}` in the callback is no field of config"))
    }

    /// The headers of token calls.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers
            .iter()
            .filter_map(|(name, value)| header(name, value))
    }
}

/// Whether only the flow itself may set this parameter.
pub(crate) fn is_own_parameter(name: &str) -> bool {
    OWN_PARAMETERS.contains(&name)
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name).ok()?;
    Some((name, HeaderValue::from_str(value).ok()?))
}
