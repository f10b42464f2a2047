//! Connecting by consent: OAuth 2.0 (RFC 6749) with PKCE (RFC 7636), and the ways in
//! which providers differ from it, read from the `[auth.oauth]` section of manifests.
//!
//! It turns a consent into an address, a code into a grant, a refresh token into a new
//! grant, and tells a grant's end to the provider. It stores nothing, decides nothing
//! about connections, and repeats nothing: a code and a rotating refresh token work
//! once, so only the caller knows whether a repeat is safe ([`TokenError`] tells it).

mod answer;
mod callback;
mod consent;
mod long_lived;
mod place;
mod refusal;
mod revoke;
mod rules;
mod strict;
mod token;

use patchbay_core::secret::Secret;

pub use answer::Grant;
pub use callback::check_callback;
pub use consent::{challenge_of, consent_url, pkce};
pub use long_lived::LongLived;
pub use place::OauthPlace;
pub use refusal::TokenError;
pub use revoke::revoke;
pub(crate) use rules::is_own_parameter;
pub use rules::{
    CallbackProof, ClientAuth, Expiry, Oauth, RefreshTokens, Revocation, RevokeBody, RevokeMethod,
    RevokeToken, ScopeSeparator, TokenBody,
};
pub use token::{TokenCall, exchange, refresh};

/// The client that a consent is asked for with: our app at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthClient {
    /// Not secret: it stands in addresses.
    pub id: String,
    /// Only workers hold it. A provider that knows public clients only has none.
    pub secret: Option<Secret>,
}
