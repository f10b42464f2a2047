//! The token endpoint: reads the call, knows the client, asks the ledger.

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use super::OAuth;
use super::calls::GrantType;
use super::ledger::{Exchange, Issued, Ledger, Refreshing};
use super::params::Params;
use super::refused::Refused;
use super::rules::{BodyKind, Rules, Secret};
use crate::faults::Quirks;

pub(crate) async fn token(
    State(oauth): State<OAuth>,
    quirks: Option<Extension<Quirks>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let quirks = quirks.map(|Extension(quirks)| quirks).unwrap_or_default();
    let params = read(oauth.rules, &headers, &body);
    let kind = GrantType::of(params.as_ref().ok());
    match params.and_then(|params| call(&oauth, &headers, &params, quirks)) {
        Ok(issued) => {
            oauth.calls.granted(kind);
            let answer = Json((oauth.rules.granted)(&issued));
            // RFC 6749 section 5.1
            let private = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
            (private, answer).into_response()
        }
        Err(refused) => {
            oauth.calls.refused(kind);
            (oauth.rules.refused)(&refused)
        }
    }
}

fn call(
    oauth: &OAuth,
    headers: &HeaderMap,
    params: &Params,
    quirks: Quirks,
) -> Result<Issued, Refused> {
    let now_ms = oauth.clock.now_ms();
    let mut ledger = oauth.ledger();
    let (client_id, has_secret) = client(&ledger, headers, params)?;
    match params.get("grant_type") {
        None if oauth.rules.bare_exchange => {}
        None => return Err(Refused::Missing("grant_type")),
        Some("refresh_token") => {
            return ledger.refresh(&Refreshing {
                client_id: &client_id,
                has_secret,
                params,
                narrows: quirks.fewer_scopes,
                now_ms,
            });
        }
        Some("authorization_code") => {}
        Some(_) => return Err(Refused::GrantType),
    }
    ledger.exchange(&Exchange {
        client_id: &client_id,
        has_secret,
        params,
        ignores_pkce: quirks.ignore_pkce,
        narrows: quirks.fewer_scopes,
        now_ms,
    })
}

fn read(rules: &Rules, headers: &HeaderMap, body: &[u8]) -> Result<Params, Refused> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let is_json = content_type.trim().eq_ignore_ascii_case("application/json");
    let is_form = content_type
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let params = match rules.body {
        BodyKind::Json | BodyKind::Either if is_json => Params::of_json(body),
        BodyKind::Form | BodyKind::Either if is_form => Some(Params::of_form(body)),
        BodyKind::Json | BodyKind::Form | BodyKind::Either => None,
    };
    let params = params.ok_or(Refused::Body(match rules.body {
        BodyKind::Json => "a JSON object, sent as application/json",
        BodyKind::Form => "a form, sent as application/x-www-form-urlencoded",
        BodyKind::Either => "a form or a JSON object, and say which it is",
    }))?;
    match params.repeated() {
        Some(name) => Err(Refused::Repeated(name.to_owned())),
        None => Ok(params),
    }
}

/// The client that calls, and whether it proved itself by its secret.
pub(crate) fn client(
    ledger: &Ledger,
    headers: &HeaderMap,
    params: &Params,
) -> Result<(String, bool), Refused> {
    let rules = ledger.rules;
    let basic = match headers.get(AUTHORIZATION).filter(|_| rules.basic) {
        Some(value) => Some(
            value
                .to_str()
                .ok()
                .and_then(of_basic)
                .ok_or_else(|| Refused::UnknownClient(String::new()))?,
        ),
        None => None,
    };
    if basic.is_some() && params.get("client_secret").is_some() {
        return Err(Refused::TwoCredentials);
    }
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (
            params
                .get("client_id")
                .ok_or(Refused::Missing("client_id"))?
                .to_owned(),
            params.get("client_secret").map(str::to_owned),
        ),
    };
    let unknown = || Refused::UnknownClient(id.clone());
    let client = ledger.clients.get(&id).ok_or_else(unknown)?;
    match (rules.secret, secret) {
        (Secret::Never, _) | (Secret::UnlessPkce, None) => Ok((id, false)),
        (Secret::Always, None) => Err(Refused::Missing("client_secret")),
        (Secret::Always | Secret::UnlessPkce, Some(secret)) if secret == client.client_secret => {
            Ok((id, true))
        }
        (Secret::Always | Secret::UnlessPkce, Some(_)) => Err(Refused::BadSecret),
    }
}

/// Id and secret are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn of_basic(header: &str) -> Option<(String, String)> {
    let joined = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&joined).ok()?.split_once(':')?;
    let decode = |text: &str| {
        let pair = format!("{text}=");
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .map(|(text, _)| text.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}
