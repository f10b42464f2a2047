//! The first step: an admin asks for a consent and gets the address to open in a browser.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use patchbay_core::{
    connection::ConnectionStatus,
    entities::{connection, consent},
    events::EventKind,
    ids::{ConnectionId, ConsentId},
    secret::Secret,
    store::{
        consents::{NewConsent, OneTime, one_time_text},
        events::NewEvent,
    },
};
use patchbay_providers::{Manifest, Provider};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    consent_settings::redirect_uri,
    extract::{Body, Key},
    once::{self, Made},
    problem::{FieldError, Kind, Problem, ProblemBody, both},
    routes::{connections::tested, providers},
    state::Api,
};

/// What is to be connected, and how the browser comes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskConsent {
    /// Name of the connection; the provider's label if not said.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// As the provider's schema says it, without secret fields.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    /// Connect this connection again, also one that was disconnected. Without it: the live
    /// connection of a provider that allows one, else a new connection. A disconnected one of
    /// the same account is found at the end and goes on where it stood.
    #[schema(value_type = Option<Uuid>)]
    connection_id: Option<ConnectionId>,
    /// Ask only for what these capabilities need; all of the provider's if not said.
    capabilities: Option<Vec<String>>,
    /// Where the browser goes at the end, with `patchbay`, `connection` and `job` in its query,
    /// in place of our own page. Must be one of the deployment's `consent.return_urls`.
    #[schema(max_length = 2000)]
    return_url: Option<String>,
}

/// A consent to be given in a browser.
#[derive(Debug, Serialize, ToSchema)]
pub struct AskedConsent {
    /// The consent; `GET consents/{id}` says how it goes.
    #[schema(value_type = Uuid)]
    consent_id: ConsentId,
    /// Open it in the browser of the person who consents. It works once and is shown only now;
    /// null where a repeated request finds it opened or over.
    url: Option<String>,
    /// The consent must have come back by then.
    expires_at: DateTime<Utc>,
}

/// Asks for a consent. Open the address in the answer in a browser: it goes on to the
/// provider, and the account is connected once the person has agreed there. A repeat with the
/// same Idempotency-Key gets the same consent with a fresh address as long as nobody has opened it.
#[utoipa::path(
    post, path = "/authorize/{provider}", tag = "consents",
    params(("provider" = String, Path, description = "Key of the provider"), once::Header),
    request_body = AskConsent,
    responses(
        (status = 201, body = AskedConsent),
        (status = 404, description = "No such provider", body = ProblemBody),
        (status = 409, description = "This deployment cannot ask for it yet, or the connection's status does not allow it", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn authorize(
    State(api): State<Api>,
    caller: Caller,
    Key(key): Key,
    Body {
        value: body,
        faults,
        once,
    }: Body<AskConsent>,
) -> Result<Response, Problem> {
    let provider = api.providers.get(&key).cloned();
    let provider = provider.ok_or_else(|| {
        let known = providers::known(&api);
        Problem::new(
            Kind::NotFound,
            format!("There is no such provider; there are: {known}."),
        )
    })?;
    let manifest = provider.manifest();
    let present = present(&api, &caller, manifest, &body).await?;
    let config = match (body.config, &present) {
        (Some(config), _) => Value::Object(config),
        (None, Some(row)) => row.config.clone(),
        (None, None) => json!({}),
    };
    let (config, (scopes, return_url)) = faults.with(both(
        tested::check(&api, manifest, &config, None),
        both(
            scopes(manifest, body.capabilities.as_deref()),
            return_url(&api, body.return_url.as_deref()),
        ),
    ))?;
    let client_id = client_id(&api, &caller, &*provider, &config).await?;
    let public_url = api.consent.public_url.as_ref().ok_or_else(|| {
        unavailable(
            "This deployment does not know where browsers reach it. The operator sets `public_url`.",
        )
    })?;

    let ticket = one_time_text();
    let tx = api.store.begin().await?;
    if let Some(done) = once::take(&api, &tx, &caller, &once).await? {
        let Made::Consent(id) = done else {
            return Err(Problem::internal(&"a repeated authorize finds no consent"));
        };
        let fresh = OneTime::Ticket.hash(ticket.expose());
        let renewed = api.store.renew_ticket(&tx, caller.org, id, fresh).await?;
        let row = api.store.consent(&tx, caller.org, id).await?;
        tx.commit().await?;
        let row = row.ok_or_else(|| Problem::not_found("consent"))?;
        return Ok(answer(&api, &row, renewed.then_some(&ticket)));
    }
    let new = NewConsent {
        org: caller.org,
        provider: manifest.key.clone(),
        connection: present.as_ref().map(|row| row.id),
        name: match (body.name, &present) {
            (Some(name), _) => name,
            (None, Some(row)) => row.name.clone(),
            (None, None) => manifest.label.clone(),
        },
        config,
        scopes,
        client_id,
        redirect_uri: redirect_uri(public_url, &manifest.key).to_string(),
        return_url,
        ticket_hash: OneTime::Ticket.hash(ticket.expose()),
        requested_by: caller.actor(),
        trace_context: caller.trace_context.clone(),
    };
    let row = api.store.insert_consent(&tx, new).await?;
    let mut event = NewEvent::new(caller.org, EventKind::ConsentRequested, caller.actor())
        .data(json!({ "provider": row.provider, "consent": row.id }));
    if let Some(connection) = row.connection_id {
        event = event.connection(connection);
    }
    api.store.record_event(&tx, event).await?;
    once::made(&api, &tx, &caller, &once, &Made::Consent(row.id)).await?;
    tx.commit().await?;
    Ok(answer(&api, &row, Some(&ticket)))
}

fn answer(api: &Api, row: &consent::Model, ticket: Option<&Secret>) -> Response {
    let url = ticket.zip(api.consent.public_url.as_ref());
    let body = AskedConsent {
        consent_id: row.id,
        url: url.map(|(ticket, public_url)| {
            public_url
                .join(&format!("/connect/{}", ticket.expose()))
                .to_string()
        }),
        expires_at: row.expires_at,
    };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    super::page::guard(&mut response);
    response
}

/// A deployment that lacks what a consent needs.
fn unavailable(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::ConsentUnavailable, detail)
}

/// The connection that the consent is for, where there is one already.
async fn present(
    api: &Api,
    caller: &Caller,
    manifest: &Manifest,
    body: &AskConsent,
) -> Result<Option<connection::Model>, Problem> {
    let live = if manifest.exclusive {
        api.store
            .live_connection_of(caller.org, &manifest.key)
            .await?
    } else {
        None
    };
    let Some(id) = body.connection_id else {
        return Ok(live);
    };
    let row = api.store.connection(api.store.db(), caller.org, id).await?;
    let row = row.filter(|row| row.provider == manifest.key);
    let row = row.ok_or_else(|| {
        let message = format!(
            "is no connection of `{}` in this organization",
            manifest.key
        );
        Problem::validation(vec![FieldError::at("/connection_id", message)])
    })?;
    match live {
        Some(live) if live.id != row.id && row.status == ConnectionStatus::Disconnected => {
            Err(Problem::new(
                Kind::ConnectionExists,
                format!(
                    "The connection is disconnected, and the organization has another one of `{}`, which allows one: {}. \
                     Disconnect that one first, or ask without `connection_id`.",
                    manifest.key, live.id
                ),
            ))
        }
        _ => Ok(Some(row)),
    }
}

/// What the chosen capabilities need, and what every connection needs.
fn scopes(
    manifest: &Manifest,
    capabilities: Option<&[String]>,
) -> Result<Vec<String>, Vec<FieldError>> {
    let Some(chosen) = capabilities else {
        return Ok(manifest.scopes_for(None));
    };
    let unknown: Vec<FieldError> = chosen
        .iter()
        .enumerate()
        .filter(|(_, key)| !manifest.capabilities.iter().any(|it| it.key == **key))
        .map(|(index, _)| {
            let known: Vec<&str> = manifest
                .capabilities
                .iter()
                .map(|it| it.key.as_str())
                .collect();
            let message = format!(
                "is no capability of {}; there are: {}",
                manifest.label,
                known.join(", ")
            );
            FieldError::at(format!("/capabilities/{index}"), message)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    Ok(manifest.scopes_for(Some(chosen)))
}

fn return_url(api: &Api, text: Option<&str>) -> Result<Option<String>, Vec<FieldError>> {
    let Some(text) = text else { return Ok(None) };
    let list = &api.consent.return_urls;
    match list.allowed(text) {
        Some(url) => Ok(Some(url.into())),
        None => {
            let message = format!(
                "is not one of the deployment's consent.return_urls, whose origin and path it must have exactly: {}",
                list.listed()
            );
            Err(vec![FieldError::at("/return_url", message)])
        }
    }
}

/// The org's own client, else the deployment's.
async fn client_id(
    api: &Api,
    caller: &Caller,
    provider: &dyn Provider,
    config: &Value,
) -> Result<String, Problem> {
    let manifest = provider.manifest();
    if api.providers.oauth(provider, config).is_none() {
        let label = &manifest.label;
        return Err(unavailable(format!(
            "{label} is not connected by consent. Make a connection with a credential (POST connections)."
        )));
    }
    let own = api
        .store
        .oauth_client(api.store.db(), caller.org, &manifest.key)
        .await?;
    let deployments = || api.consent.client_ids.get(&manifest.key).cloned();
    own.map(|client| client.client_id)
        .or_else(deployments)
        .ok_or_else(|| {
            unavailable(format!(
                "Nobody has registered an app at {0} for this deployment. The operator sets `oauth.{1}.client_id` and \
                 `oauth.{1}.client_secret`, or the organization its own (PUT oauth-clients/{1}).",
                manifest.label, manifest.key
            ))
        })
}
