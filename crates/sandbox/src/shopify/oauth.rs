//! Shopify's OAuth: per shop, comma scopes, a signed callback, tokens that expire only
//! where the client asks for it, and a replaced refresh token that works until its
//! replacement does.
//!
//! Sources: "Authorization code grant" and "About offline access tokens" of shopify.dev;
//! the callback's HMAC as `@shopify/shopify-api` checks it (form-encoded values).

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use url::{Url, form_urlencoded};

use crate::clock::Clock;
use crate::oauth::refused::Refused;
use crate::oauth::rules::{
    BodyKind, Callback, Minted, Pkce, Renewal, Rules, Secret, Terms, TermsAsk, rfc_answer,
};
use crate::oauth::{Account, Client, Issued, OAuth};

/// The client that is registered from the start.
pub const CLIENT_ID: &str = "sandbox-shopify";
pub const CLIENT_SECRET: &str = "sandbox-shopify-secret";

const DAY: u64 = 24 * 60 * 60;

static RULES: Rules = Rules {
    provider: "shopify",
    title: "Shopify",
    authorize_path: "/admin/oauth/authorize",
    token_path: "/admin/oauth/access_token",
    scopes: &[
        ("read_products", "See products"),
        ("read_inventory", "See stock"),
        ("read_locations", "See locations"),
        ("read_orders", "See orders of the last 60 days"),
        ("read_all_orders", "See all orders"),
        ("read_customers", "See customers"),
        ("write_products", "Change products"),
        ("write_inventory", "Change stock"),
        ("write_orders", "Change orders"),
        ("write_customers", "Change customers"),
    ],
    separator: ',',
    user_scopes: false,
    response_type: false,
    state: false,
    pkce: Pkce::Unknown,
    secret: Secret::Always,
    basic: false,
    body: BodyKind::Either,
    bare_exchange: true,
    repeats_redirect: false,
    code_seconds: 10 * 60,
    reuse_ends_grant: true,
    grace_seconds: Some(30 * DAY),
    access_tokens: None,
    grants: None,
    lasting: |_, _| true,
    prefix,
    terms,
    granted,
    refused,
    callback,
    denied: &[],
    redirects_faults: false,
};

pub(crate) fn oauth(shops: Vec<Account>, clock: Clock) -> OAuth {
    let clients = vec![Client::new(CLIENT_ID, CLIENT_SECRET)];
    OAuth::new(&RULES, clients, shops, clock)
}

fn prefix(minted: Minted, _: &Account) -> String {
    match minted {
        Minted::Code => "",
        Minted::Access { .. } => "shpat_",
        Minted::Refresh => "shprt_",
    }
    .to_owned()
}

fn terms(ask: &TermsAsk<'_>) -> Terms {
    let expiring = ask.params.is("expiring", "1") || ask.params.is("expiring", "true");
    match expiring || ask.is_refresh {
        true => Terms {
            access_seconds: Some(3600),
            renewal: Renewal::Rotating {
                seconds: Some(90 * DAY),
            },
            short_lived: false,
        },
        false => Terms {
            access_seconds: None,
            renewal: Renewal::None,
            short_lived: false,
        },
    }
}

fn granted(issued: &Issued) -> Value {
    let Some(token) = &issued.main else {
        return json!({});
    };
    let mut answer = json!({
        "access_token": token.access,
        "scope": token.scopes.join(","),
    });
    if let Some(seconds) = token.seconds {
        answer["expires_in"] = seconds.into();
    }
    if let Some(refresh) = &token.refresh {
        answer["refresh_token"] = refresh.text.as_str().into();
        answer["refresh_token_expires_in"] = refresh.seconds.into();
    }
    answer
}

fn refused(refused: &Refused) -> Response {
    match refused {
        Refused::UnknownCode(_)
        | Refused::CodeExpired
        | Refused::CodeUsed
        | Refused::OfAnotherClient => rfc_answer(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "The authorization code was not found or was already used",
        ),
        Refused::UnknownRefresh
        | Refused::RefreshExpired
        | Refused::RefreshReplayed
        | Refused::GrantEnded => rfc_answer(
            StatusCode::UNAUTHORIZED,
            "invalid_request",
            "This request requires an active refresh_token",
        ),
        Refused::Body(_)
        | Refused::Repeated(_)
        | Refused::Missing(_)
        | Refused::GrantType
        | Refused::TwoCredentials
        | Refused::UnknownClient(_)
        | Refused::BadSecret
        | Refused::SecretInPkceFlow
        | Refused::RedirectMismatch
        | Refused::VerifierMissing
        | Refused::VerifierWrong
        | Refused::VerifierNotNeeded
        | Refused::WiderScopes => {
            let (status, error) = refused.rfc();
            rfc_answer(status, error, &refused.to_string())
        }
    }
}

/// `host`, `shop`, `timestamp`, and over all of the query the HMAC.
fn callback(callback: &Callback<'_>, to: &mut Url) {
    let shop = callback.account.id.as_str();
    let name = shop.trim_end_matches(".myshopify.com");
    let host = URL_SAFE_NO_PAD.encode(format!("admin.shopify.com/store/{name}"));
    let seconds = callback.now_ms.div_euclid(1000);
    to.query_pairs_mut()
        .append_pair("host", &host)
        .append_pair("shop", shop)
        .append_pair("timestamp", &seconds.to_string());
    let hmac = signature(to, &callback.client.client_secret);
    to.query_pairs_mut().append_pair("hmac", &hmac);
}

/// Parameters sorted by name and form-encoded; HMAC-SHA256 in hexadecimal.
fn signature(url: &Url, secret: &str) -> String {
    let mut pairs: Vec<_> = url.query_pairs().collect();
    pairs.sort();
    let message = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key length");
    mac.update(message.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked with `@shopify/shopify-api`.
    #[test]
    fn the_signature_is_the_official_librarys() {
        let url = Url::parse(
            "https://app.example/cb?code=0907a61c0c8d55e99db179b68161bc00\
             &host=YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvZGVtbw&shop=demo.myshopify.com\
             &state=0.6784241404160823&timestamp=1768478400",
        )
        .expect("an address");
        assert_eq!(
            signature(&url, "shpss_test_secret_0123456789abcdef"),
            "5a3b713304ba010d18ca7a6f57e807e253737576b1312931e7685166faebbf1d"
        );
    }
}
