//! Etsy's OAuth: PKCE always, no client secret, the user's id before each token, both
//! tokens new with each refresh.
//!
//! Source: "Authentication" of Etsy's Open API v3 documentation.

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::oauth::rules::{
    BodyKind, Minted, Pkce, Renewal, Rules, Secret, Terms, plain_callback, rfc_refused,
};
use crate::oauth::{Account, Client, Issued, OAuth};

/// The keystring that is registered from the start, and its shared secret.
pub const CLIENT_ID: &str = "sandbox-etsy";
pub const CLIENT_SECRET: &str = "sandbox-etsy-secret";

static RULES: Rules = Rules {
    provider: "etsy",
    title: "Etsy",
    authorize_path: "/oauth/connect",
    token_path: "/v3/public/oauth/token",
    scopes: &[
        ("shops_r", "See your shop"),
        ("listings_r", "See your listings"),
        ("transactions_r", "See your purchases and sales"),
        ("email_r", "See your email address"),
        ("profile_r", "See your profile"),
        ("shops_w", "Change your shop"),
        ("listings_w", "Make and change listings"),
        ("listings_d", "Delete listings"),
        ("transactions_w", "Change your sales"),
    ],
    separator: ' ',
    user_scopes: false,
    response_type: true,
    state: true,
    pkce: Pkce::Required,
    secret: Secret::Never,
    basic: false,
    body: BodyKind::Either,
    bare_exchange: false,
    repeats_redirect: true,
    code_seconds: 10 * 60,
    reuse_ends_grant: true,
    grace_seconds: None,
    access_tokens: None,
    grants: None,
    lasting: |_, _| true,
    prefix,
    terms: |_| Terms {
        access_seconds: Some(3600),
        renewal: Renewal::Rotating {
            seconds: Some(90 * 24 * 60 * 60),
        },
        short_lived: false,
    },
    granted,
    refused: rfc_refused,
    callback: plain_callback,
    denied: &[("error_description", "The user denied the request.")],
    redirects_faults: true,
};

pub(crate) fn oauth(users: Vec<Account>, clock: Clock) -> OAuth {
    let clients = vec![Client::new(CLIENT_ID, CLIENT_SECRET)];
    OAuth::new(&RULES, clients, users, clock)
}

fn prefix(minted: Minted, account: &Account) -> String {
    match minted {
        Minted::Code => String::new(),
        Minted::Access { .. } | Minted::Refresh => format!("{}.", account.id),
    }
}

fn granted(issued: &Issued) -> Value {
    let Some(token) = &issued.main else {
        return json!({});
    };
    json!({
        "access_token": token.access,
        "token_type": "Bearer",
        "expires_in": token.seconds,
        "refresh_token": token.refresh.as_ref().map(|refresh| &refresh.text),
    })
}
