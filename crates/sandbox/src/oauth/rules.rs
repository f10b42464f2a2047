//! What one provider's OAuth does differently from another's, as data.
//!
//! The machine beside this file reads it; a provider's folder fills it in, each fact with
//! its source. Must not: hold what all providers do alike.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::Url;

use super::ledger::{Account, Client, Issued};
use super::params::Params;
use super::refused::Refused;

/// A provider's consent page and token endpoint.
#[derive(Debug)]
pub(crate) struct Rules {
    /// As paths and control calls name it: `google`.
    pub provider: &'static str,
    /// As a person reads it.
    pub title: &'static str,
    pub authorize_path: &'static str,
    pub token_path: &'static str,
    /// What can be asked for, and what the consent page says about it.
    pub scopes: &'static [(&'static str, &'static str)],
    /// Between scopes, at the consent page.
    pub separator: char,
    /// Scopes of the person beside those of the app, in `user_scope` (Slack).
    pub user_scopes: bool,
    /// `response_type=code` must be sent.
    pub response_type: bool,
    /// `state` must be sent.
    pub state: bool,
    pub pkce: Pkce,
    pub secret: Secret,
    /// The client may also authenticate by HTTP Basic.
    pub basic: bool,
    pub body: BodyKind,
    /// A token call without `grant_type` exchanges a code.
    pub bare_exchange: bool,
    /// The token call must repeat the redirect URI.
    pub repeats_redirect: bool,
    /// Life of a code unless a control call says otherwise.
    pub code_seconds: u64,
    /// A second use of a code ends what the first gave (RFC 6749 section 4.1.2).
    pub reuse_ends_grant: bool,
    /// A replaced refresh token works until its replacement is used, for so many seconds
    /// after its first use.
    pub grace_seconds: Option<u64>,
    /// Access tokens of one grant that are alive at once.
    pub access_tokens: Option<usize>,
    /// Grants of one account to one client that are alive at once; older ones end silently.
    pub grants: Option<usize>,
    /// The grant gets a refresh token at all: asked of the consent page's parameters, and
    /// whether this account's first consent to the client.
    pub lasting: fn(&Params, bool) -> bool,
    /// Beginning of a code or token.
    pub prefix: fn(Minted, &Account) -> String,
    pub terms: fn(&TermsAsk<'_>) -> Terms,
    /// The token endpoint's answer.
    pub granted: fn(&Issued) -> Value,
    pub refused: fn(&Refused) -> Response,
    /// Adds to the callback what it carries beside `code` and `state`.
    pub callback: fn(&Callback<'_>, &mut Url),
    /// What it carries after a denial beside `error` and `state`.
    pub denied: &'static [(&'static str, &'static str)],
    /// Faults of an authorization request that the provider tells the client by a
    /// redirect; otherwise the person sees a page.
    pub redirects_faults: bool,
}

/// RFC 7636.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pkce {
    /// No authorization without an S256 challenge.
    Required,
    /// A challenge sent must be answered; S256 unless `plain_by_default`.
    Checked { plain_by_default: bool },
    /// The provider does not know the parameters and ignores them.
    Unknown,
}

/// When the token endpoint wants the client's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    Always,
    /// A client is public: its id and PKCE are all.
    Never,
    /// A grant begun with PKCE must not send it, any other must.
    UnlessPkce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Json,
    Form,
    Either,
}

/// What a text is made for; decides its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Minted {
    Code,
    Access { user: bool, expires: bool },
    Refresh,
}

/// What decides the lives of a grant's tokens.
#[derive(Debug)]
pub(crate) struct TermsAsk<'a> {
    pub client: &'a Client,
    pub by_pkce: bool,
    pub lasting: bool,
    pub is_refresh: bool,
    /// Of the token call.
    pub params: &'a Params,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// `None`: never expires.
    pub access_seconds: Option<u64>,
    pub renewal: Renewal,
    /// The client asked for a shorter life (Square).
    pub short_lived: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// No refresh token.
    None,
    /// One refresh token, used again and again.
    Same,
    /// A new one with each use, each good for so many seconds.
    Rotating { seconds: Option<u64> },
}

/// What a provider may put into the callback.
#[derive(Debug)]
pub(crate) struct Callback<'a> {
    pub client: &'a Client,
    pub account: &'a Account,
    pub scopes: &'a [String],
    pub now_ms: i64,
}

/// Nothing beside `code` and `state`.
pub(crate) fn plain_callback(_: &Callback<'_>, _: &mut Url) {}

/// `{"error", "error_description"}` of RFC 6749 section 5.2.
pub(crate) fn rfc_refused(refused: &Refused) -> Response {
    let (status, error) = refused.rfc();
    rfc_answer(status, error, &refused.to_string())
}

pub(crate) fn rfc_answer(status: StatusCode, error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (status, Json(body)).into_response()
}
