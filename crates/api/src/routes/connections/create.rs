//! A new connection: it is `pending` until its test has passed.

use axum::{extract::State, response::Response};
use patchbay_core::store::connections::{Inserted, NewConnection};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::tested::{self, CredentialFields, TestedConnection};
use crate::{
    access::Caller,
    extract::{Body, Query},
    once::{self, Made, Turn},
    problem::{Kind, Problem, ProblemBody},
    state::Api,
    wait::{Wait, WaitQuery},
};

/// A connection to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConnection {
    /// Key of the provider.
    #[schema(min_length = 1, max_length = 64)]
    provider: String,
    /// For people; the provider's label if not said.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// As the provider's schema says it, without secret fields.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    /// The secret fields of the provider's schema.
    #[serde(default)]
    credential: CredentialFields,
}

/// Makes a connection. Its credential is sealed to the workers and tested by the job in the
/// answer; the connection is `active` once the test has passed. After a failed test it stays
/// `pending`: send another credential or config, or leave it to be removed after a day.
#[utoipa::path(
    post, path = "/connections", tag = "connections", params(WaitQuery, once::Header),
    request_body = CreateConnection,
    responses(
        (status = 200, description = "The test has ended within `wait`; the job says how", body = TestedConnection),
        (status = 202, description = "The test is on its way", body = TestedConnection),
        (status = 409, description = "The provider is already connected", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once,
    }: Body<CreateConnection>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let config = Value::Object(body.config.unwrap_or_default());
    let (manifest, config) =
        faults.with(tested::manifest(&api, &body.provider).and_then(|manifest| {
            let config = tested::check(&api, manifest, &config, Some(&body.credential.0))?;
            Ok((manifest, config))
        }))?;

    let mut work = match once::begin(&api, &caller, &once).await? {
        Turn::First(work) => work,
        Turn::Again(Made::Connection(id, jobs)) => {
            return tested::answer(&api, &caller, id, &jobs, wait).await;
        }
        Turn::Again(_) => return Err(Problem::internal(&"a repeated create finds no connection")),
    };
    let new = NewConnection {
        org: caller.org,
        provider: manifest.key.clone(),
        name: body.name.unwrap_or_else(|| manifest.label.clone()),
        config: config.clone(),
        exclusive: manifest.exclusive,
        created_by: caller.actor(),
    };
    let row = match api.store.insert_connection(&work.tx, new).await? {
        Inserted::New(row) => row,
        Inserted::Taken => {
            drop(work);
            return Err(taken(&api, &caller, &manifest.key).await?);
        }
    };
    let job = tested::enqueue(
        &api,
        &work.tx,
        &caller,
        &row,
        config,
        Some(&body.credential.0),
    )
    .await?;
    work.announcement.job(&job);
    work.announcement.connection(caller.org, row.id);
    work.end(Made::Connection(row.id, vec![job.id])).await?;
    tested::answer(&api, &caller, row.id, &[job.id], wait).await
}

pub(super) async fn taken(api: &Api, caller: &Caller, provider: &str) -> Result<Problem, Problem> {
    let present = api.store.live_connection_of(caller.org, provider).await?;
    let which = match present {
        Some(row) => format!(
            "connection {} ({})",
            row.id,
            sea_orm::ActiveEnum::to_value(&row.status)
        ),
        None => "a connection that has just gone: try again".into(),
    };
    Ok(Problem::new(
        Kind::ConnectionExists,
        format!(
            "The organization already has a connection of `{provider}`, which allows one: {which}. \
             Change it (PATCH, PUT credential), or disconnect it (DELETE) first."
        ),
    ))
}
