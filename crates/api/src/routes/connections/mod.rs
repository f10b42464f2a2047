//! Connections: what they are, one, and the list. What changes them is in a file
//! per verb.

pub mod actions;
pub mod change;
pub mod create;
pub mod credential;
pub mod health;
pub mod records;
pub mod revoke;
pub mod switch;
pub mod sync;
mod sync_range;
pub mod tested;
mod token;
mod usage;
pub mod work;

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    connection::{ConnectionStatus, Health},
    entities::connection,
    ids::ConnectionId,
    store::connections::ConnectionFilter,
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use self::{token::CredentialView, usage::UsageView};
use super::jobs::{FailureView, failure};
use crate::{
    access::Caller,
    extract::{Id, Query},
    pages::{self, List, Page},
    problem::{Kind, Problem, ProblemBody},
    schemas,
    state::Api,
};

/// One organization's account at a provider.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Connection)]
pub struct ConnectionView {
    /// The connection.
    #[schema(value_type = Uuid)]
    pub id: ConnectionId,
    /// Key of the provider.
    provider: String,
    /// For people.
    name: String,
    /// As the provider's schema says it, without secrets.
    #[schema(value_type = Object)]
    config: Value,
    /// Where it stands.
    #[schema(schema_with = schemas::connection_status)]
    status: ConnectionStatus,
    /// How it has been doing. `degraded` also while its account has not granted all that was
    /// asked for and is not switched off.
    #[schema(schema_with = schemas::health)]
    health: Health,
    /// Why it is degraded or failing, and what to do; null otherwise.
    health_reason: Option<FailureView>,
    /// The provider's own id of the account, once a test told it.
    account_key: Option<String>,
    /// The account's name.
    account_name: Option<String>,
    /// Capabilities that are switched off.
    capabilities_off: Vec<String>,
    /// Failures since the last success.
    error_count: i32,
    /// The last failure.
    last_error: Option<FailureView>,
    /// When it was.
    last_error_at: Option<DateTime<Utc>>,
    /// When something last worked.
    last_success_at: Option<DateTime<Utc>>,
    /// When it was last tested or checked.
    last_checked_at: Option<DateTime<Utc>>,
    /// When a sync last ended.
    last_synced_at: Option<DateTime<Utc>>,
    /// Minutes from one check of its health to the next, 1 to 60. While its credential is refused
    /// it is checked every 60 minutes; pending, disabled and disconnected it is not checked.
    health_interval_minutes: i32,
    /// Grows with every change.
    version: i64,
    /// Who made it.
    created_by: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
    /// When it was disconnected.
    disconnected_at: Option<DateTime<Utc>>,
}

impl From<connection::Model> for ConnectionView {
    fn from(row: connection::Model) -> Self {
        Self {
            capabilities_off: capabilities_off(&row),
            health: row.shown_health(),
            health_reason: row.health_reason().map(Into::into),
            id: row.id,
            provider: row.provider,
            name: row.name,
            config: row.config,
            status: row.status,
            account_key: row.account_key,
            account_name: row.account_name,
            error_count: row.error_count,
            last_error: failure(row.last_error),
            last_error_at: row.last_error_at,
            last_success_at: row.last_success_at,
            last_checked_at: row.last_checked_at,
            last_synced_at: row.last_synced_at,
            health_interval_minutes: row.health_interval_minutes,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            disconnected_at: row.disconnected_at,
        }
    }
}

/// Capabilities of a row that are switched off.
pub(super) fn capabilities_off(row: &connection::Model) -> Vec<String> {
    let names = row.capabilities_off.as_array().into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A connection with its credential's mask and its streams.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionDetail {
    #[serde(flatten)]
    connection: ConnectionView,
    /// The newest credential, a withdrawn one too; null before the first test has passed.
    credential: Option<CredentialView>,
    /// Capabilities that do not work because the account granted less than they need, each with
    /// the scopes it lacks. To grant them, connect again.
    #[schema(value_type = Object)]
    capabilities_missing: BTreeMap<String, Vec<String>>,
    /// The streams that were synced.
    streams: Vec<StreamView>,
    /// What was counted against its limits per hour and day; null where the provider has none.
    usage: Option<UsageView>,
}

/// Where a stream of a connection stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
pub struct StreamView {
    /// Its key.
    stream: String,
    /// Living records.
    records: i64,
    /// Number of the last change.
    change_no: i64,
    /// When a sync of it last ended.
    last_synced_at: Option<DateTime<Utc>>,
}

/// Which connections to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConnectionsQuery {
    /// Only in this status.
    #[param(schema_with = schemas::connection_status)]
    status: Option<ConnectionStatus>,
    /// Only of this provider.
    provider: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries of the page: 1 to 200, 50 if not said.
    limit: Option<u64>,
}

/// Lists the organization's connections, oldest first, disconnected ones too.
#[utoipa::path(
    get, path = "/connections", tag = "connections", params(ConnectionsQuery),
    responses((status = 200, body = Page<ConnectionView>), (status = 400, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<ConnectionsQuery>,
) -> Result<Json<Page<ConnectionView>>, Problem> {
    let limit = pages::limit(query.limit)?;
    let filter = ConnectionFilter {
        provider: query.provider,
        status: query.status,
        after: pages::place(List::Connections, query.cursor.as_deref())?,
    };
    let mut rows = api
        .store
        .connections(caller.org, &filter, limit + 1)
        .await?;
    api.store.with_last_checks(&mut rows).await?;
    Ok(Json(Page::of(
        List::Connections,
        rows,
        limit,
        |row| row.id,
        ConnectionView::from,
    )))
}

/// One connection, with its credential's mask and the state of its streams.
#[utoipa::path(
    get, path = "/connections/{id}", tag = "connections", params(("id" = Uuid, Path, description = "The connection")),
    responses((status = 200, body = ConnectionDetail), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
) -> Result<Json<ConnectionDetail>, Problem> {
    let row = find(&api, &caller, id).await?;
    let credential = api.store.newest_credential(caller.org, id).await?;
    let usage = usage::of(&api, &row).await?;
    let now = api.store.clock().now();
    let streams = api.store.stream_states(caller.org, id).await?;
    let streams = streams.into_iter().map(|state| StreamView {
        stream: state.stream,
        records: state.records,
        change_no: state.change_no,
        last_synced_at: state.last_synced_at,
    });
    let credential = credential.map(|row| CredentialView::of(row, now));
    let granted = credential.as_ref().and_then(CredentialView::granted);
    let provider = api.providers.get(&row.provider);
    let missing = granted
        .zip(provider)
        .map(|(granted, provider)| provider.manifest().shortfall(granted));
    Ok(Json(ConnectionDetail {
        connection: row.into(),
        credential,
        capabilities_missing: missing.unwrap_or_default(),
        streams: streams.collect(),
        usage,
    }))
}

/// The connection in the caller's org.
pub(super) async fn find(
    api: &Api,
    caller: &Caller,
    id: ConnectionId,
) -> Result<connection::Model, Problem> {
    let row = api.store.connection(api.store.db(), caller.org, id).await?;
    let mut row = row.ok_or_else(|| Problem::not_found("connection"))?;
    api.store
        .with_last_checks(std::slice::from_mut(&mut row))
        .await?;
    Ok(row)
}

/// The same, its row held until the transaction ends.
pub(super) async fn hold(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    id: ConnectionId,
) -> Result<connection::Model, Problem> {
    let row = api.store.lock_connection(tx, caller.org, id).await?;
    row.ok_or_else(|| Problem::not_found("connection"))
}

/// The same, of a connection that is not disconnected.
pub(super) async fn hold_connected(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    id: ConnectionId,
) -> Result<connection::Model, Problem> {
    let row = hold(api, tx, caller, id).await?;
    if row.status == ConnectionStatus::Disconnected {
        return Err(disconnected());
    }
    Ok(row)
}

/// What a disconnected connection says to whoever wants something of it.
pub(super) fn disconnected() -> Problem {
    Problem::new(
        Kind::ConnectionState,
        "The connection is disconnected: its credential is gone, its records stay readable. \
         Connect its account again first, by consent (POST authorize/{provider} with this `connection_id`) \
         or with a credential (PUT .../credential); it then goes on where it stood.",
    )
}
