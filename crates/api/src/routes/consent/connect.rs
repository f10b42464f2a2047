//! The second step: a browser opens the ticket, is bound to the consent by a cookie, and goes
//! on to the provider.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use patchbay_core::{
    entities::consent,
    secret::{Secret, SecretFields},
    store::consents::{OneTime, Opening, one_time_text},
};
use patchbay_providers::{Pkce, oauth};
use serde_json::Value;
use url::Url;

use super::{
    cookie,
    page::{Page, guard},
};
use crate::{extract::Key, problem::Problem, state::Api};

/// Opens a consent in a browser, once: sets the browser's cookie and goes on to the provider.
/// The address is in the answer of `POST authorize/{provider}`.
#[utoipa::path(
    get, path = "/connect/{ticket}", tag = "consents", security(()),
    params(("ticket" = String, Path, description = "From the answer of `authorize`")),
    responses(
        (status = 303, description = "On to the provider"),
        (status = 404, description = "A page: no such consent", content_type = "text/html", body = String),
        (status = 410, description = "A page: used or over", content_type = "text/html", body = String),
    ),
)]
pub async fn connect(
    State(api): State<Api>,
    method: Method,
    headers: HeaderMap,
    Key(ticket): Key,
) -> Result<Response, Problem> {
    if let Some(refused) = not_a_person(&method, &headers) {
        return Ok(refused);
    }
    let Some(row) = api.store.consent_of_ticket(&ticket).await? else {
        return Ok(unknown().into_response());
    };
    let Some(public_url) = &api.consent.public_url else {
        return Err(Problem::internal(
            &"a consent is opened, but public_url is not set any more",
        ));
    };
    let present = cookie::read(&headers, row.id, public_url);
    let present = present.map(|text| OneTime::Browser.hash(text.expose()));
    let Some((address, opening, browser)) = prepare(&api, &row)? else {
        return Err(Problem::internal(&format!(
            "provider `{}` of a consent has no consent any more",
            row.provider
        )));
    };
    if !api
        .store
        .open_consent(row.id, present.as_deref(), opening)
        .await?
    {
        return Ok(over(row.expires_at <= api.store.clock().now()).into_response());
    }
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::try_from(address.as_str())
        .map_err(|_| Problem::internal(&"the consent's address is no header"))?;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().append(
        header::SET_COOKIE,
        cookie::set(row.id, &browser, public_url),
    );
    guard(&mut response);
    Ok(response)
}

/// What only looks (HEAD) or loads ahead uses nothing up.
pub(super) fn not_a_person(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let ahead = ["sec-purpose", "purpose", "x-moz"].iter().any(|name| {
        let value = headers.get(*name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.contains("prefetch") || value.contains("preview"))
    });
    if *method != Method::HEAD && !ahead {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    guard(&mut response);
    Some(response)
}

/// A fresh state, cookie and verifier, and the provider's address that belongs to them.
fn prepare(api: &Api, row: &consent::Model) -> Result<Option<(Url, Opening, Secret)>, Problem> {
    let Some(provider) = api.providers.get(&row.provider) else {
        return Ok(None);
    };
    let Some(place) = api.providers.oauth(&**provider, &row.config) else {
        return Ok(None);
    };
    let redirect_uri = Url::parse(&row.redirect_uri)
        .map_err(|_| Problem::internal(&"consents.redirect_uri is no address"))?;
    let scopes: Vec<String> = match &row.scopes {
        Value::Array(scopes) => scopes
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => return Err(Problem::internal(&"consents.scopes is no list")),
    };
    let (challenge, verifier) = match provider.manifest().auth.pkce {
        Pkce::Required | Pkce::On => {
            let (challenge, verifier) = oauth::pkce();
            let fields = SecretFields([("verifier".to_owned(), verifier)].into());
            let sealed = api.sealing.seal(row.org_id, row.job_id, &fields);
            (Some(challenge), Some(sealed))
        }
        Pkce::Off => (None, None),
    };
    let (state, browser) = (one_time_text(), one_time_text());
    let address = oauth::consent_url(
        &place,
        &row.client_id,
        &redirect_uri,
        state.expose(),
        &scopes,
        challenge.as_deref(),
    );
    let opening = Opening {
        state_hash: OneTime::State.hash(state.expose()),
        browser_hash: OneTime::Browser.hash(browser.expose()),
        verifier,
    };
    Ok(Some((address, opening, browser)))
}

fn unknown() -> Page {
    Page::new(
        StatusCode::NOT_FOUND,
        "This link is not valid",
        "It may have been cut off when it was copied, or it was replaced by a newer one.",
        "Go back to where you found it and start connecting again.",
    )
}

fn over(expired: bool) -> Page {
    let words = if expired {
        "It was valid for ten minutes, and they are over."
    } else {
        "It works once, in one browser, and it has been used."
    };
    Page::new(
        StatusCode::GONE,
        "This link has ended",
        words,
        "Go back to where you found it and start connecting again. Nothing was changed.",
    )
}
