//! Why a token endpoint refuses. The texts are for people; the wording on the wire is
//! each provider's own.

use axum::http::StatusCode;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the body must be {0}")]
    Body(&'static str),
    #[error("the parameter `{0}` came more than once")]
    Repeated(String),
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    #[error("the grant type is not supported")]
    GrantType,
    #[error("the client authenticated in more than one way")]
    TwoCredentials,
    #[error("the client {0:?} is not known")]
    UnknownClient(String),
    #[error("the client's secret is wrong")]
    BadSecret,
    #[error("a grant of the PKCE flow is exchanged without the client's secret")]
    SecretInPkceFlow,
    #[error("the code of client {0:?} is not known")]
    UnknownCode(String),
    #[error("the code has expired")]
    CodeExpired,
    #[error("the code was used before")]
    CodeUsed,
    #[error("the redirect_uri is not the one that the code was issued for")]
    RedirectMismatch,
    #[error("the code was issued with a PKCE challenge; code_verifier is missing")]
    VerifierMissing,
    #[error("code_verifier does not answer the challenge")]
    VerifierWrong,
    #[error("the code was issued without a PKCE challenge; code_verifier is not expected")]
    VerifierNotNeeded,
    #[error("the refresh token is not known")]
    UnknownRefresh,
    #[error("the refresh token has expired")]
    RefreshExpired,
    #[error("the refresh token was used before; the grant has ended")]
    RefreshReplayed,
    #[error("the grant has been revoked")]
    GrantEnded,
    #[error("the token was issued to another client")]
    OfAnotherClient,
    #[error("a refresh cannot widen the scopes")]
    WiderScopes,
}

impl Refused {
    /// Status and `error` of RFC 6749 section 5.2.
    pub fn rfc(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownClient(_) | Self::BadSecret => {
                (StatusCode::UNAUTHORIZED, "invalid_client")
            }
            Self::GrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Self::WiderScopes => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Self::Body(_)
            | Self::Repeated(_)
            | Self::Missing(_)
            | Self::TwoCredentials
            | Self::SecretInPkceFlow => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::UnknownCode(_)
            | Self::CodeExpired
            | Self::CodeUsed
            | Self::RedirectMismatch
            | Self::VerifierMissing
            | Self::VerifierWrong
            | Self::VerifierNotNeeded
            | Self::UnknownRefresh
            | Self::RefreshExpired
            | Self::RefreshReplayed
            | Self::GrantEnded
            | Self::OfAnotherClient => (StatusCode::BAD_REQUEST, "invalid_grant"),
        }
    }
}
