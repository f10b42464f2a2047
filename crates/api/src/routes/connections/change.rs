//! Changes of a connection. What decides whether it works is tested first.

use axum::{extract::State, response::Response};
use patchbay_core::{
    entities::connection, events::EventKind, ids::ConnectionId, store::events::NewEvent,
};
use patchbay_providers::Manifest;
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    credential::hold_to_replace,
    hold_connected,
    tested::{self, CredentialFields, TestedConnection},
};
use crate::{
    access::Caller,
    extract::{Body, Id, Query},
    problem::{FieldError, Problem, ProblemBody, both},
    state::{Announcement, Api},
    wait::{Wait, WaitQuery},
};

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeConnection {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// The whole new config. It is tested before it replaces the old.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    /// A new credential. It is tested before it replaces the old.
    credential: Option<CredentialFields>,
    /// Every capability that is to be off.
    #[schema(max_items = 100)]
    capabilities_off: Option<Vec<String>>,
    /// Minutes from one check of its health to the next.
    #[schema(minimum = 1, maximum = 60)]
    health_interval_minutes: Option<i32>,
}

/// Changes a connection. Name, capabilities and interval change at once (200). A new config or credential
/// is tested by the job in the answer (202) and takes the place of the old once the test has
/// passed; until then, and after a failed test, the old one stays in force. A disconnected
/// connection takes a change only together with a credential, by which it comes back.
#[utoipa::path(
    patch, path = "/connections/{id}", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), WaitQuery),
    request_body = ChangeConnection,
    responses(
        (status = 200, body = TestedConnection),
        (status = 202, description = "The test is on its way", body = TestedConnection),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected, and no credential is sent; or another connection took its place", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn change(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once: _,
    }: Body<ChangeConnection>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let tx = api.store.begin().await?;
    let row = match body.credential {
        Some(_) => hold_to_replace(&api, &tx, &caller, id).await?,
        None => hold_connected(&api, &tx, &caller, id).await?,
    };
    let manifest = tested::manifest_of(&api, &row)?;
    let capabilities_off = body
        .capabilities_off
        .map(|keys| known_capabilities(manifest, keys))
        .transpose();
    let credential = body.credential.as_ref().map(|fields| &fields.0);
    let config = body.config.map(Value::Object);
    let candidate = (config.is_some() || credential.is_some()).then(|| {
        let config = config.as_ref().unwrap_or(&row.config);
        tested::check(&api, manifest, config, credential)
    });
    let (capabilities_off, candidate) =
        faults.with(both(capabilities_off, candidate.transpose()))?;
    let testable = credential.is_some()
        || api
            .store
            .current_credential(&tx, caller.org, id)
            .await?
            .is_some();

    let mut change = connection::ActiveModel::default();
    let mut changed = Vec::new();
    if let Some(name) = body.name {
        change.name = Set(name);
        changed.push("name");
    }
    if let Some(keys) = capabilities_off {
        change.capabilities_off = Set(json!(keys));
        changed.push("capabilities_off");
    }
    if let Some(minutes) = body.health_interval_minutes {
        change.health_interval_minutes = Set(minutes);
        changed.push("health_interval_minutes");
    }
    // Nothing to test it with: a connection that waits for a credential takes it as it is.
    if let Some(config) = &candidate
        && !testable
    {
        change.config = Set(config.clone());
        changed.push("config");
    }
    let mut announcement = Announcement::default();
    let mut jobs = Vec::new();
    if !changed.is_empty() {
        let updated = api.store.update_connection(&tx, &row, change).await?;
        let why = updated.health_reason();
        api.store
            .tell_health(&tx, &row, &updated, why.as_ref(), &caller.actor())
            .await?;
        let event = NewEvent::new(caller.org, EventKind::ConnectionUpdated, caller.actor());
        api.store
            .record_event(
                &tx,
                event.connection(id).data(json!({ "changed": changed })),
            )
            .await?;
        announcement.connection(caller.org, id);
    }
    if let Some(config) = candidate
        && testable
    {
        let job = tested::enqueue(&api, &tx, &caller, &row, config, credential).await?;
        announcement.job(&job);
        jobs.push(job.id);
    }
    tx.commit().await?;
    api.announce(announcement);
    tested::answer(&api, &caller, id, &jobs, wait).await
}

fn known_capabilities(
    manifest: &Manifest,
    mut keys: Vec<String>,
) -> Result<Vec<String>, Vec<FieldError>> {
    let known: Vec<&str> = manifest
        .capabilities
        .iter()
        .map(|capability| capability.key.as_str())
        .collect();
    let errors: Vec<FieldError> = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| !known.contains(&key.as_str()))
        .map(|(index, _)| {
            let message = format!(
                "is no capability of {}; there are: {}",
                manifest.label,
                known.join(", ")
            );
            FieldError::at(format!("/capabilities_off/{index}"), message)
        })
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}
