//! What a callback proves beside its state: Shopify signs its query with the client's
//! secret and names the shop. Checked where the secret is, in a worker.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use patchbay_core::failure::FailureKind;
use serde_json::Value;
use sha2::Sha256;
use url::form_urlencoded;

use super::{OauthClient, place::OauthPlace, rules::CallbackProof};
use crate::error::ProviderError;

/// Checks the query of a callback, as it came, against the provider's own rules. Form,
/// state and issuer were checked before.
///
/// # Errors
/// The callback is not the provider's answer to this consent.
pub fn check_callback(
    place: &OauthPlace,
    client: &OauthClient,
    query: &[(String, String)],
    config: &Value,
    now: DateTime<Utc>,
) -> Result<(), ProviderError> {
    let Some(proof) = &place.rules.callback else {
        return Ok(());
    };
    let Some(secret) = &client.secret else {
        return Err(ProviderError::new(
            FailureKind::Internal,
            format!("The OAuth client of {} has no secret.", place.label),
            "An operator must set it: the callback is signed with it.",
        ));
    };
    let refused = |why: &str| {
        ProviderError::new(
            FailureKind::Auth,
            format!("The answer of {}'s consent page {why}.", place.label),
            "Connect the account again. If it is refused again, check the OAuth client's secret.",
        )
    };
    let signature = one(query, &proof.hmac).ok_or_else(|| refused("is not signed"))?;
    let is_signed = unhex(signature).is_some_and(|signature| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("a key of any length will do");
        mac.update(message(proof, query).as_bytes());
        // Compares in constant time.
        mac.verify_slice(&signature).is_ok()
    });
    if !is_signed {
        return Err(refused("is not signed with our client's secret"));
    }
    for (name, field) in &proof.same_as_config {
        let wanted = config.get(field).and_then(Value::as_str);
        if wanted.is_none() || one(query, name) != wanted {
            return Err(refused(&format!("is about another {name}")));
        }
    }
    let made = one(query, &proof.timestamp)
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let is_recent = made
        .is_some_and(|made| (now - made).abs().num_seconds() <= i64::from(proof.max_age_seconds));
    if is_recent {
        Ok(())
    } else {
        Err(refused("is not of this moment"))
    }
}

/// What is signed: every other parameter, sorted by name, form-encoded. (Shopify's own
/// library signs so; other encodings fail for spaces and slashes.)
fn message(proof: &CallbackProof, query: &[(String, String)]) -> String {
    let mut signed: Vec<&(String, String)> = query
        .iter()
        .filter(|(name, _)| *name != proof.hmac && !proof.unsigned.contains(name))
        .collect();
    signed.sort_by(|a, b| a.0.cmp(&b.0));
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(signed)
        .finish()
}

/// A parameter that came exactly once.
fn one<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    let mut found = query.iter().filter(|(one, _)| one == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
