//! A second exchange, where a code brings a token that lives for an hour and that token, once,
//! one that lives for weeks. Sent once, right after the code: what it loses a person grants
//! again.

use patchbay_core::{outbound::Method, secret::Secret};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    answer::{self, Grant},
    refusal::{TokenError, judge},
    token::TokenCall,
};
use crate::address::Address;

/// How a token that lives for an hour is exchanged: a GET whose query says everything
/// (Instagram's `ig_exchange_token`, Facebook's `fb_exchange_token`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongLived {
    /// Where.
    pub address: Address,
    /// What `grant_type` says.
    pub grant_type: String,
    /// Parameter with the token.
    #[serde(default = "access_token")]
    pub token_parameter: String,
    /// Parameter with the client's id; left out where the provider wants none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_parameter: Option<String>,
    /// Parameter with the client's secret, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_parameter: Option<String>,
}

fn access_token() -> String {
    "access_token".into()
}

impl LongLived {
    /// What is wrong with the section itself; its address is checked with the others.
    pub(super) fn problem(&self) -> Option<String> {
        let id = self.client_id_parameter.as_deref();
        let secret = self.client_secret_parameter.as_deref();
        let names = ["grant_type", &self.token_parameter];
        let mut names: Vec<&str> = names.into_iter().chain(id).chain(secret).collect();
        if self.grant_type.is_empty() || names.contains(&"") {
            return Some("a long-lived exchange has an empty name".into());
        }
        names.sort_unstable();
        names
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| format!("`{}` is said twice in the long-lived exchange", pair[0]))
    }

    /// Writes the query.
    fn ask_in(&self, url: &mut Url, token: &Secret, client_id: &str, secret: Option<&Secret>) {
        let mut query = url.query_pairs_mut();
        query.append_pair("grant_type", &self.grant_type);
        query.append_pair(&self.token_parameter, token.expose());
        if let Some(name) = &self.client_id_parameter {
            query.append_pair(name, client_id);
        }
        if let (Some(name), Some(secret)) = (&self.client_secret_parameter, secret) {
            query.append_pair(name, secret.expose());
        }
    }
}

/// Exchanges what a code has brought, where the manifest asks for it.
///
/// # Errors
/// No lasting grant came. None of them may be followed by the same code: it is used up.
pub(super) async fn exchange(call: &TokenCall<'_>, short: Grant) -> Result<Grant, TokenError> {
    match ask(call, short).await {
        Ok(grant) => Ok(grant),
        Err(TokenError::Later { error, .. }) => Err(TokenError::Unknown(error)),
        Err(error) => Err(error),
    }
}

async fn ask(call: &TokenCall<'_>, short: Grant) -> Result<Grant, TokenError> {
    let place = call.place;
    let (Some(rules), Some(address)) = (&place.rules.long_lived, &place.long_lived) else {
        return Ok(short);
    };
    let Some(token) = short.fields.get("access_token") else {
        return Ok(short);
    };
    let secret = match rules.client_secret_parameter {
        Some(_) => Some(call.secret()?),
        None => None,
    };
    let mut url = address.clone();
    rules.ask_in(&mut url, token, &call.client.id, secret);
    let mut request = call.request(Method::GET, &url);
    for (name, value) in place.rules.headers() {
        request = request.header(name, value);
    }
    let answer = call.outbound.send(request).await?;
    let now = call.clock.now();
    let sent: Vec<&Secret> = [Some(token), secret].into_iter().flatten().collect();
    let granted = judge(place, &answer, now, &sent)?;
    let lasting = answer::read(&place.rules, &granted, now)
        .map_err(|what| TokenError::malformed(place, &what))?;
    let mut fields = short.fields;
    fields.0.extend(lasting.fields.0);
    Ok(Grant {
        fields,
        expires_at: lasting.expires_at,
        refresh_expires_at: lasting.refresh_expires_at.or(short.refresh_expires_at),
        scopes: lasting.scopes.or(short.scopes),
    })
}
