//! The end of a grant, told to the provider.

use std::time::Duration;

use patchbay_core::{
    outbound::{Credential, Method, OutboundRequest, header::HeaderName},
    secret::{Secret, SecretFields},
};

use super::{
    answer::Grant,
    refusal::{TokenError, code, judge},
    rules::{ClientAuth, Revocation, RevokeBody, RevokeMethod, RevokeToken, TokenBody},
    token::{Params, TokenCall, refresh},
};

const SHOPIFY_TOKEN: HeaderName = HeaderName::from_static("x-shopify-access-token");

/// Ends a grant at the provider: by its refresh token where that is enough, else by its
/// access token, which is renewed first if the provider no longer takes it. A grant that
/// has ended before is a success, and so is a provider that has no call for it
/// (`place.revoke` is `None`).
///
/// # Errors
/// The provider did not say that it has ended.
pub async fn revoke(call: &TokenCall<'_>, fields: &SecretFields) -> Result<(), TokenError> {
    let Some(revocation) = &call.place.rules.revocation else {
        return Ok(());
    };
    let refresh_token = fields.get("refresh_token");
    let access_token = fields.get("access_token");
    if !revocation.token.needs_live_access() {
        let Some(token) = refresh_token.or(access_token) else {
            return Ok(());
        };
        return match end(call, revocation, token).await? {
            Ended::Yes | Ended::TokenRefused => Ok(()),
        };
    }
    let Some(access_token) = access_token else {
        return Ok(());
    };
    match (end(call, revocation, access_token).await?, refresh_token) {
        (Ended::Yes, _) => Ok(()),
        // A token that never had a successor is dead, and with it the grant.
        (Ended::TokenRefused, None) => Ok(()),
        (Ended::TokenRefused, Some(refresh_token)) => match refresh(call, refresh_token).await {
            Ok(Grant { fields, .. }) => {
                let renewed = fields.get("access_token").unwrap_or(access_token);
                end_now(call, revocation, renewed).await
            }
            Err(TokenError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        },
    }
}

/// Ends a grant by a token that nobody has but this call: what cannot be said now can never
/// be said again, so it is said a few times.
async fn end_now(
    call: &TokenCall<'_>,
    revocation: &Revocation,
    token: &Secret,
) -> Result<(), TokenError> {
    let call = &TokenCall {
        exempt: true,
        ..*call
    };
    let mut pauses = PAUSES.into_iter();
    loop {
        match (end(call, revocation, token).await, pauses.next()) {
            (Ok(Ended::Yes | Ended::TokenRefused), _) => return Ok(()),
            (Err(TokenError::Later { .. } | TokenError::Unknown(_)), Some(pause)) => {
                tokio::time::sleep(pause).await;
            }
            (Err(error), _) => return Err(error),
        }
    }
}

const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

enum Ended {
    Yes,
    /// The token is not good for it: expired, or its grant has ended before.
    TokenRefused,
}

async fn end(
    call: &TokenCall<'_>,
    revocation: &Revocation,
    token: &Secret,
) -> Result<Ended, TokenError> {
    let Some(request) = request(call, revocation, token)? else {
        return Ok(Ended::Yes);
    };
    let answer = call.outbound.send(request).await?;
    let is_gone = code(&answer).is_some_and(|code| revocation.gone.contains(&code));
    let is_token_refused = match revocation.token {
        RevokeToken::Bearer | RevokeToken::ShopifyHeader => answer.status.as_u16() == 401,
        // There a 401 is about the client.
        RevokeToken::Body | RevokeToken::BodyAlone | RevokeToken::BodyWithClientHeader => false,
    };
    if is_gone || is_token_refused {
        return Ok(Ended::TokenRefused);
    }
    if answer.status.is_success() && call.place.rules.ok_field.is_none() {
        // RFC 7009: the status is the answer; the body may be anything.
        return Ok(Ended::Yes);
    }
    let mut sent = vec![token];
    sent.extend(&call.client.secret);
    judge(call.place, &answer, call.clock.now(), &sent)?;
    Ok(Ended::Yes)
}

fn request(
    call: &TokenCall<'_>,
    revocation: &Revocation,
    token: &Secret,
) -> Result<Option<OutboundRequest>, TokenError> {
    let Some(address) = &call.place.revoke else {
        return Ok(None);
    };
    let origins = || call.place.origins.clone();
    let method = match revocation.method {
        RevokeMethod::Post => Method::POST,
        RevokeMethod::Delete => Method::DELETE,
    };
    let mut request = call.request(method, address);
    for (name, value) in call.place.rules.headers() {
        request = request.header(name, value);
    }
    let mut params = Params::default();
    match revocation.token {
        RevokeToken::Body => {
            params.add("token", token.expose());
            match call.place.rules.client {
                ClientAuth::None => params.add("client_id", &call.client.id),
                ClientAuth::Body => {
                    params.add("client_id", &call.client.id);
                    params.add("client_secret", call.secret()?.expose());
                }
                ClientAuth::Basic => {
                    let credential = Credential::basic(&call.client.id, call.secret()?, origins());
                    request = request.credential(credential);
                }
            }
        }
        RevokeToken::BodyAlone => params.add("token", token.expose()),
        RevokeToken::BodyWithClientHeader => {
            params.add("client_id", &call.client.id);
            params.add("access_token", token.expose());
            let secret = call.secret()?.clone();
            request = request.credential(Credential::scheme("Client", secret, origins()));
        }
        RevokeToken::Bearer => {
            request = request.credential(Credential::bearer(token.clone(), origins()));
        }
        RevokeToken::ShopifyHeader => {
            let credential = Credential::header(SHOPIFY_TOKEN, token.clone(), origins());
            request = request.credential(credential);
        }
    }
    Ok(Some(match revocation.body {
        RevokeBody::Form => params.into_body(TokenBody::Form, request, call.place),
        RevokeBody::Json => params.into_body(TokenBody::Json, request, call.place),
        RevokeBody::None => request,
    }))
}
