//! Google's OAuth: a refresh token only for `access_type=offline`, and for a repeated
//! consent only with `prompt=consent`; it does not rotate; revoking ends everything.
//!
//! Sources: "Using OAuth 2.0 for Web Server Applications" of Google Identity, its OpenID
//! discovery document for how clients authenticate, and the texts of its token endpoint.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::oauth::params::Params;
use crate::oauth::refused::Refused;
use crate::oauth::rules::{
    BodyKind, Minted, Pkce, Renewal, Rules, Secret, Terms, TermsAsk, rfc_answer,
};
use crate::oauth::{Account, Client, Issued, OAuth, Reach};

/// The client that is registered from the start.
pub const CLIENT_ID: &str = "sandbox-google";
pub const CLIENT_SECRET: &str = "sandbox-google-secret";

/// Every scope the stand-in knows, with its words on the consent page.
const SCOPES: [(&str, &str); 4] = [
    (
        "https://www.googleapis.com/auth/drive.readonly",
        "See and download all your Google Drive files",
    ),
    (
        "https://www.googleapis.com/auth/drive.metadata.readonly",
        "See information about your Google Drive files",
    ),
    (
        "https://www.googleapis.com/auth/drive",
        "See, edit, create and delete all of your Google Drive files",
    ),
    (
        "https://www.googleapis.com/auth/userinfo.email",
        "See your primary Google Account email address",
    ),
];

static RULES: Rules = Rules {
    provider: "google",
    title: "Google",
    authorize_path: "/o/oauth2/v2/auth",
    token_path: "/token",
    scopes: &SCOPES,
    separator: ' ',
    user_scopes: false,
    response_type: true,
    state: false,
    pkce: Pkce::Checked {
        plain_by_default: true,
    },
    secret: Secret::Always,
    basic: true,
    body: BodyKind::Form,
    bare_exchange: false,
    repeats_redirect: true,
    code_seconds: 10 * 60,
    reuse_ends_grant: true,
    grace_seconds: None,
    access_tokens: None,
    grants: Some(100),
    lasting: |params, is_first| {
        params.is("access_type", "offline") && (is_first || params.is("prompt", "consent"))
    },
    prefix,
    terms: |ask: &TermsAsk<'_>| Terms {
        access_seconds: Some(3600),
        renewal: match ask.lasting {
            true => Renewal::Same,
            false => Renewal::None,
        },
        short_lived: false,
    },
    granted,
    refused,
    callback: |callback, to| {
        to.query_pairs_mut()
            .append_pair("scope", &callback.scopes.join(" "))
            .append_pair("authuser", "0")
            .append_pair("prompt", "consent");
    },
    denied: &[],
    redirects_faults: false,
};

pub(crate) fn oauth(people: Vec<Account>, clock: Clock) -> OAuth {
    let clients = vec![Client::new(CLIENT_ID, CLIENT_SECRET)];
    OAuth::new(&RULES, clients, people, clock)
}

fn prefix(minted: Minted, _: &Account) -> String {
    match minted {
        Minted::Code => "4/0A",
        Minted::Access { .. } => "ya29.a0",
        Minted::Refresh => "1//0",
    }
    .to_owned()
}

fn granted(issued: &Issued) -> Value {
    let Some(token) = &issued.main else {
        return json!({});
    };
    let mut answer = json!({
        "access_token": token.access,
        // One second passes between issue and answer, as Google counts.
        "expires_in": token.seconds.map(|seconds| seconds.saturating_sub(1)),
        "scope": token.scopes.join(" "),
        "token_type": "Bearer",
    });
    if let Some(refresh) = token.refresh.as_ref().filter(|refresh| refresh.is_new) {
        answer["refresh_token"] = refresh.text.as_str().into();
    }
    answer
}

fn refused(refused: &Refused) -> Response {
    let (status, error) = refused.rfc();
    let description = match refused {
        Refused::UnknownClient(_) => "The OAuth client was not found.",
        Refused::BadSecret => "The provided client secret is invalid.",
        Refused::UnknownCode(_) => "Malformed auth code.",
        Refused::CodeExpired | Refused::CodeUsed | Refused::UnknownRefresh => "Bad Request",
        Refused::RedirectMismatch => {
            return rfc_answer(status, "redirect_uri_mismatch", "Bad Request");
        }
        Refused::OfAnotherClient => {
            return rfc_answer(
                StatusCode::UNAUTHORIZED,
                "unauthorized_client",
                "Unauthorized",
            );
        }
        Refused::VerifierMissing => "Missing code verifier.",
        Refused::VerifierWrong => "Invalid code verifier.",
        Refused::VerifierNotNeeded => "code_verifier or verifier is not needed.",
        Refused::RefreshExpired | Refused::RefreshReplayed | Refused::GrantEnded => {
            "Token has been expired or revoked."
        }
        Refused::Body(_)
        | Refused::Repeated(_)
        | Refused::Missing(_)
        | Refused::GrantType
        | Refused::TwoCredentials
        | Refused::SecretInPkceFlow
        | Refused::WiderScopes => &refused.to_string(),
    };
    rfc_answer(status, error, description)
}

/// The token in a form or in the query; either kind ends all that the account gave to its
/// client.
pub(super) async fn revoke(
    State(oauth): State<OAuth>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let (form, query) = (Params::of_form(&body), Params::of_query(query.as_deref()));
    let Some(token) = form.get("token").or_else(|| query.get("token")) else {
        return rfc_answer(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Missing required parameter: token",
        );
    };
    let now_ms = oauth.clock.now_ms();
    if oauth.ledger().revoke(token, None, Reach::Account, now_ms) {
        return Json(json!({})).into_response();
    }
    rfc_answer(
        StatusCode::BAD_REQUEST,
        "invalid_token",
        "Token expired or revoked",
    )
}
