//! The catalogue of providers, as their manifests declare them.

use axum::{Json, extract::State};
use patchbay_providers::Manifest;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    extract::Key,
    problem::{Kind, Problem, ProblemBody},
    state::Api,
};

/// A kind of external system.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderView {
    /// Stable name, as connections say it.
    key: String,
    /// Name for people.
    label: String,
    /// `pos`, `email`, `hris`, ...
    #[schema(value_type = String)]
    category: Value,
    /// One or two sentences.
    description: String,
    /// The provider's own documentation.
    docs: String,
    /// One connection per organization.
    exclusive: bool,
    /// What a business notices when the connection fails.
    impact: String,
    /// How one connects: `credential` (sent with `POST connections`), `consent` (begun with
    /// `POST authorize/{key}`), or either.
    ways: Vec<&'static str>,
    /// How an account is opened: `kind`, `pkce`, `scopes`, and of a consent `oauth`, which
    /// says in `setup` where its OAuth client is made.
    #[schema(value_type = Object)]
    auth: Value,
    /// JSON Schema of `config` and `credential` together; fields with `x-secret` belong into
    /// `credential`. A consent takes the others.
    #[schema(value_type = Object)]
    config: Value,
    /// What a connection may do; each can be switched off.
    #[schema(value_type = Vec<Object>)]
    capabilities: Value,
    /// What can be synced, and in which modes.
    #[schema(value_type = Vec<Object>)]
    streams: Value,
    /// What can be done at the provider, each with the JSON Schema of its `input`.
    #[schema(value_type = Vec<Object>)]
    actions: Value,
    /// How fast the provider may be called: information only, no call is held back for it. When
    /// the provider says that it was called too fast, the job waits as long as it asks.
    #[schema(value_type = Object)]
    rate_limit: Value,
}

impl ProviderView {
    fn of(manifest: &Manifest) -> Self {
        Self {
            key: manifest.key.clone(),
            label: manifest.label.clone(),
            category: json(&manifest.category),
            description: manifest.description.clone(),
            docs: manifest.docs.to_string(),
            exclusive: manifest.exclusive,
            impact: manifest.impact.clone(),
            ways: [
                manifest.takes_credential().then_some("credential"),
                manifest.takes_consent().then_some("consent"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            auth: json(&manifest.auth),
            config: json(&manifest.config),
            capabilities: json(&manifest.capabilities),
            streams: json(&manifest.streams),
            actions: json(&manifest.actions),
            rate_limit: json(&manifest.rate_limit),
        }
    }
}

fn json(part: &impl Serialize) -> Value {
    serde_json::to_value(part)
        .expect("manifests are read from text and have no shape that JSON lacks")
}

/// All providers.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderList {
    /// In the order of their keys.
    data: Vec<ProviderView>,
}

/// The catalogue.
#[utoipa::path(get, path = "/providers", tag = "providers", responses((status = 200, body = ProviderList)))]
pub async fn list(State(api): State<Api>) -> Json<ProviderList> {
    Json(ProviderList {
        data: api
            .providers
            .all()
            .map(|provider| ProviderView::of(provider.manifest()))
            .collect(),
    })
}

/// One provider.
#[utoipa::path(
    get, path = "/providers/{key}", tag = "providers", params(("key" = String, Path, description = "Key of the provider")),
    responses((status = 200, body = ProviderView), (status = 404, body = ProblemBody)),
)]
pub async fn read(State(api): State<Api>, Key(key): Key) -> Result<Json<ProviderView>, Problem> {
    match api.providers.get(&key) {
        Some(provider) => Ok(Json(ProviderView::of(provider.manifest()))),
        None => Err(Problem::new(
            Kind::NotFound,
            format!("There is no such provider; there are: {}.", known(&api)),
        )),
    }
}

/// The keys of all providers, for a message.
pub fn known(api: &Api) -> String {
    let keys: Vec<&str> = api
        .providers
        .all()
        .map(|provider| provider.manifest().key.as_str())
        .collect();
    keys.join(", ")
}
