//! A new credential or config is tested by a worker before it replaces the old:
//! what a request may bring, its check against the manifest, and the job.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    entities::{connection, job},
    ids::{ConnectionId, JobId},
    job::{JobKind, NewJob, Queue},
    job_args::ConnectionTestArgs,
    secret::{Secret, SecretFields},
};
use patchbay_providers::Manifest;
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::{ConnectionView, find};
use crate::{
    access::Caller,
    problem::{FieldError, Kind, Problem},
    routes::{jobs::JobView, providers},
    state::Api,
    wait::Wait,
};

/// A test that has no answer by then has failed.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Characters of a secret at most: a private key in PEM has a tenth of it.
const LONGEST_SECRET: usize = 32_768;

/// Secret fields by name, as the provider's schema marks them.
#[derive(Default)]
pub struct CredentialFields(pub SecretFields);

impl PartialSchema for CredentialFields {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .additional_properties(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(LONGEST_SECRET))))
            .write_only(true)
            .description(Some(
                "Secret fields by name, as the provider's schema marks them (`x-secret`). They are sealed at once, \
                 tested by a worker, and never returned.",
            ))
            .into()
    }
}

impl ToSchema for CredentialFields {
    fn name() -> Cow<'static, str> {
        "CredentialFields".into()
    }
}

impl fmt::Debug for CredentialFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for CredentialFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self(SecretFields(
            fields
                .into_iter()
                .map(|(name, text)| (name, Secret::new(text)))
                .collect(),
        )))
    }
}

/// A connection, and the job that tests it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestedConnection {
    /// As it is now. What is being tested shows once the test has passed.
    connection: ConnectionView,
    /// The test; null where nothing had to be tested.
    job: Option<JobView>,
}

/// The connection and its test, after the wait. 202 while the test goes on.
pub async fn answer(
    api: &Api,
    caller: &Caller,
    id: ConnectionId,
    jobs: &[JobId],
    wait: Wait,
) -> Result<Response, Problem> {
    let waited = wait.for_ids(api, caller.org, jobs).await?;
    let status = waited.status();
    let job = waited.views.into_iter().next();
    // After the wait: the test has changed it.
    let connection = find(api, caller, id).await?.into();
    Ok((status, Json(TestedConnection { connection, job })).into_response())
}

/// The manifest of a provider that a body names.
pub fn manifest<'a>(api: &'a Api, provider: &str) -> Result<&'a Manifest, Vec<FieldError>> {
    match api.providers.get(provider) {
        Some(provider) => Ok(provider.manifest()),
        None => {
            let message = format!(
                "is no provider of this deployment; there are: {}",
                providers::known(api)
            );
            Err(vec![FieldError::at("/provider", message)])
        }
    }
}

/// The manifest of a stored connection. Missing only after a downgrade.
pub fn manifest_of<'a>(api: &'a Api, row: &connection::Model) -> Result<&'a Manifest, Problem> {
    api.providers.get(&row.provider).map(|provider| provider.manifest()).ok_or_else(|| {
        let detail = format!(
            "This version has no provider `{}`, so the connection cannot be used. Run the version that made it.",
            row.provider
        );
        Problem::new(Kind::ConnectionState, detail)
    })
}

/// Checks config and credential together, every error at once. Without a credential only the
/// config: the one in force is then tested with it.
pub fn check(
    api: &Api,
    manifest: &Manifest,
    config: &Value,
    credential: Option<&SecretFields>,
) -> Result<Value, Vec<FieldError>> {
    let secret = credential.cloned().unwrap_or_default();
    let mut errors = manifest.check(config, &secret).err().unwrap_or_default();
    // What the schema says of a field goes before what its provider makes of it.
    let provider = api.providers.get(&manifest.key);
    let faults = provider.map(|provider| provider.config_faults(config, credential));
    for fault in faults.into_iter().flatten() {
        if errors.iter().all(|error| error.pointer != fault.pointer) {
            errors.push(fault);
        }
    }
    errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    let errors: Vec<FieldError> = errors
        .into_iter()
        .filter(|error| credential.is_some() || !error.pointer.starts_with("/secret"))
        .map(|error| {
            let pointer = match error.pointer.strip_prefix("/secret") {
                Some(rest) => format!("/credential{rest}"),
                None => error.pointer,
            };
            FieldError::at(pointer, error.message.replace("`secret`", "`credential`"))
        })
        .collect();
    if errors.is_empty() {
        Ok(with_defaults(manifest, config))
    } else {
        Err(errors)
    }
}

/// A config that was found right, with the defaults of what it leaves out.
fn with_defaults(manifest: &Manifest, config: &Value) -> Value {
    let mut config = config.clone();
    if let Value::Object(fields) = &mut config {
        for (name, property) in &manifest.config.properties {
            if let Some(default) = &property.default {
                fields
                    .entry(name.clone())
                    .or_insert_with(|| default.clone());
            }
        }
    }
    config
}

/// The job that tests a candidate. Tests of a connection run one after the other, so that
/// the candidate sent last is the one that stays.
pub async fn enqueue(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    row: &connection::Model,
    config: Value,
    credential: Option<&SecretFields>,
) -> Result<job::Model, Problem> {
    let id = JobId::new(api.store.clock());
    let connection = row.id;
    let args = ConnectionTestArgs {
        config,
        revives: row.disconnected_at,
    };
    let args = serde_json::to_value(args).expect("a config is JSON");
    let new = NewJob {
        id: Some(id),
        connection: Some(connection),
        lane: Some(format!("{connection}:test")),
        args,
        sealed: credential.map(|fields| api.sealing.seal(caller.org, id, fields)),
        // A person waits: what does not work now is told now.
        max_attempts: 2,
        timeout: TEST_TIMEOUT,
        ..caller.job(JobKind::ConnectionTest, Queue::Interactive)
    };
    api.enqueue_one(tx, new).await
}
