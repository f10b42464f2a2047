//! Square's OAuth: JSON bodies, `expires_at`, two flows, `Client <secret>` to revoke.
//!
//! Sources: Square's public API specification (release 2025-08-20, `ObtainToken`,
//! `RevokeToken`) and its guide to the OAuth API. The code flow's refresh token never
//! expires and stays the same; the PKCE flow's lives 90 days, works once, and that flow
//! sends no secret.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::SquareError;
use super::input;
use crate::clock::{Clock, rfc3339};
use crate::oauth::refused::Refused;
use crate::oauth::rules::{BodyKind, Minted, Pkce, Renewal, Rules, Secret, Terms, TermsAsk};
use crate::oauth::{Account, Client, Ended, Issued, OAuth, Reach};

/// The client that is registered from the start.
pub const CLIENT_ID: &str = "sandbox-square";
pub const CLIENT_SECRET: &str = "sandbox-square-secret";

const DAY: u64 = 24 * 60 * 60;

static RULES: Rules = Rules {
    provider: "square",
    title: "Square",
    authorize_path: "/oauth2/authorize",
    token_path: "/oauth2/token",
    scopes: &[
        ("MERCHANT_PROFILE_READ", "See business and locations"),
        ("ITEMS_READ", "See the item library"),
        ("ORDERS_READ", "See orders"),
        ("PAYMENTS_READ", "See payments and refunds"),
        ("CUSTOMERS_READ", "See customers"),
        ("INVENTORY_READ", "See stock"),
        ("ITEMS_WRITE", "Change the item library"),
        ("INVENTORY_WRITE", "Change stock"),
        ("CUSTOMERS_WRITE", "Change customers"),
        ("ORDERS_WRITE", "Make and change orders"),
        ("PAYMENTS_WRITE", "Take payments"),
    ],
    separator: ' ',
    user_scopes: false,
    response_type: false,
    state: false,
    pkce: Pkce::Checked {
        plain_by_default: false,
    },
    secret: Secret::UnlessPkce,
    basic: false,
    body: BodyKind::Json,
    bare_exchange: false,
    repeats_redirect: true,
    code_seconds: 5 * 60,
    reuse_ends_grant: true,
    grace_seconds: None,
    access_tokens: None,
    grants: None,
    lasting: |_, _| true,
    prefix,
    terms,
    granted,
    refused,
    callback: |_, to| {
        to.query_pairs_mut().append_pair("response_type", "code");
    },
    denied: &[("error_description", "user_denied")],
    redirects_faults: false,
};

/// The merchants can consent.
pub(crate) fn oauth(merchants: Vec<Account>, clock: Clock) -> OAuth {
    let clients = vec![Client::new(CLIENT_ID, CLIENT_SECRET)];
    OAuth::new(&RULES, clients, merchants, clock)
}

fn prefix(minted: Minted, _: &Account) -> String {
    match minted {
        Minted::Code => "sq0cgb-",
        Minted::Access { .. } => "EAAA",
        Minted::Refresh => "EQAA",
    }
    .to_owned()
}

fn terms(ask: &TermsAsk<'_>) -> Terms {
    let short_lived = ask.params.is("short_lived", "true");
    Terms {
        access_seconds: Some(if short_lived { DAY } else { 30 * DAY }),
        renewal: match ask.by_pkce {
            true => Renewal::Rotating {
                seconds: Some(90 * DAY),
            },
            false => Renewal::Same,
        },
        short_lived,
    }
}

fn granted(issued: &Issued) -> Value {
    let Some(token) = &issued.main else {
        return json!({});
    };
    let mut answer = json!({
        "access_token": token.access,
        "token_type": "bearer",
        "expires_at": token.until_ms.map(rfc3339),
        "merchant_id": issued.account.id,
        "short_lived": issued.short_lived,
    });
    if let Some(refresh) = &token.refresh {
        answer["refresh_token"] = refresh.text.as_str().into();
        if let Some(until) = refresh.until_ms {
            answer["refresh_token_expires_at"] = rfc3339(until).into();
        }
    }
    answer
}

fn refused(refused: &Refused) -> Response {
    let unauthorized = |detail: String| SquareError::unauthorized("UNAUTHORIZED", detail);
    let error = match refused {
        // A client that does not prove itself is answered outside the usual envelope.
        Refused::UnknownClient(_) | Refused::BadSecret => return not_authorized(),
        Refused::Missing(name) => SquareError::invalid(
            "MISSING_REQUIRED_PARAMETER",
            format!("missing required parameter '{name}'"),
        )
        .field(*name),
        Refused::UnknownCode(client) => {
            unauthorized(format!("Authorization code not found for app {client}"))
        }
        Refused::CodeExpired
        | Refused::CodeUsed
        | Refused::RedirectMismatch
        | Refused::VerifierMissing
        | Refused::VerifierWrong
        | Refused::VerifierNotNeeded
        | Refused::UnknownRefresh
        | Refused::RefreshExpired
        | Refused::RefreshReplayed
        | Refused::GrantEnded
        | Refused::OfAnotherClient => unauthorized(refused.to_string()),
        Refused::Body(_) => SquareError::invalid("EXPECTED_JSON_BODY", refused.to_string()),
        Refused::GrantType => {
            SquareError::invalid("BAD_REQUEST", refused.to_string()).field("grant_type")
        }
        Refused::Repeated(_)
        | Refused::TwoCredentials
        | Refused::SecretInPkceFlow
        | Refused::WiderScopes => SquareError::invalid("BAD_REQUEST", refused.to_string()),
    };
    error.into_response()
}

fn not_authorized() -> Response {
    let body = json!({ "message": "Not Authorized", "type": "service.not_authorized" });
    (StatusCode::UNAUTHORIZED, Json(body)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    client_id: String,
    access_token: Option<String>,
    merchant_id: Option<String>,
    #[serde(default)]
    revoke_only_access_token: bool,
}

/// Ends all that a merchant gave to the client, or one access token alone.
pub(super) async fn revoke(
    State(oauth): State<OAuth>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, SquareError> {
    let Revocation {
        client_id,
        access_token,
        merchant_id,
        revoke_only_access_token,
    } = input::body(&headers, &body)?;
    let secret = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Client "));
    let mut ledger = oauth.ledger();
    let is_client = ledger
        .clients
        .get(&client_id)
        .is_some_and(|client| Some(client.client_secret.as_str()) == secret);
    if !is_client {
        return Ok(not_authorized());
    }
    let reach = match revoke_only_access_token {
        true => Reach::Token,
        false => Reach::Account,
    };
    let is_revoked = match (&access_token, &merchant_id) {
        (Some(token), None) => ledger.revoke(token, Some(&client_id), reach, oauth.clock.now_ms()),
        (None, Some(merchant)) if !revoke_only_access_token => {
            ledger.end_all(Some(merchant), Some(&client_id), Ended::Revoked) > 0
        }
        (Some(_), Some(_)) | (None, Some(_)) | (None, None) => {
            return Err(SquareError::invalid(
                "BAD_REQUEST",
                "Send either access_token or merchant_id; revoke_only_access_token needs \
                 access_token.",
            ));
        }
    };
    if !is_revoked {
        return Err(SquareError::not_found("There is nothing to revoke."));
    }
    Ok(Json(json!({ "success": true })).into_response())
}
