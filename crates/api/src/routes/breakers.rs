//! Which hosts are left alone because they do not answer.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::breaker;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{access::Caller, problem::Problem, schemas, state::Api};

/// Hosts of the organization's providers that fail.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breakers {
    /// None while all is well.
    data: Vec<BreakerView>,
}

/// A host of a provider that fails.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Breaker)]
struct BreakerView {
    /// Key of the provider.
    provider: String,
    /// Scheme, host and port.
    origin: String,
    /// `closed`: calls go out, the last ones failed; `open`: jobs wait and burn no attempt;
    /// `half_open`: the next call tries it.
    #[schema(schema_with = schemas::breaker_state)]
    state: &'static str,
    /// Failures in a row.
    failures: u32,
    /// Since when it fails.
    failing_since: Option<DateTime<Utc>>,
    /// Since when jobs wait for it.
    opened_at: Option<DateTime<Utc>>,
    /// When it is tried again. Checks and tests of a connection are made at any time, and one
    /// that passes lets the jobs go on.
    probe_at: Option<DateTime<Utc>>,
    /// How it fails.
    reason: Option<String>,
}

/// Hosts of the organization's providers that fail, or are left alone because they do not answer.
#[utoipa::path(get, path = "/breakers", tag = "overview", responses((status = 200, body = Breakers)))]
pub async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Breakers>, Problem> {
    let (mut rows, now) = api.store.breakers().await?;
    rows.retain(|(_, row)| row.failures > 0);
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    let providers: Vec<&str> = rows.iter().map(|(key, _)| key.0.as_str()).collect();
    let configs = match providers.as_slice() {
        [] => Vec::new(),
        providers => {
            api.store
                .configs_of_providers(caller.org, providers)
                .await?
        }
    };
    // The host may name another organization's account.
    let is_ours = |key: &(String, String)| {
        configs.iter().any(|(provider, config)| {
            let origins = || api.providers.origins(provider, config).into_iter();
            *provider == key.0 && origins().any(|origin| origin.to_string() == key.1)
        })
    };
    let ours = rows.iter().filter(|(key, _)| is_ours(key));
    let view = |((provider, origin), row): &((String, String), breaker::Breaker)| BreakerView {
        provider: provider.clone(),
        origin: origin.clone(),
        state: row.state(now).name(),
        failures: row.failures,
        failing_since: row.first_failed_at,
        opened_at: row.opened_at,
        probe_at: row.probe_at,
        reason: row.reason.clone(),
    };
    Ok(Json(Breakers {
        data: ours.map(view).collect(),
    }))
}
