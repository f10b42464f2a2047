//! Alerts: what they are, one, and the list. What people do with them is in [`people`].

pub mod channels;
pub mod limits;
pub mod people;

use std::collections::HashMap;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    alerts::{AlertKind, AlertState},
    entities::alert,
    ids::{AlertId, ConnectionId},
    store::alerts::{AlertFilter, AlertPlace},
};
use patchbay_providers::Registry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::Caller,
    extract::{Id, Query},
    pages::{self, List, Page},
    problem::{Problem, ProblemBody},
    schemas,
    state::Api,
};

/// Something that is wrong and that a person should know of. It is raised and resolved by
/// itself; for each cause there is one that is not resolved.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Alert)]
pub struct AlertView {
    /// The alert.
    #[schema(value_type = Uuid)]
    id: AlertId,
    /// What it tells of.
    #[schema(schema_with = schemas::alert_kind)]
    kind: AlertKind,
    /// Where it stands.
    #[schema(schema_with = schemas::alert_state)]
    state: AlertState,
    /// The connection that it is about.
    #[schema(value_type = Option<Uuid>)]
    connection_id: Option<ConnectionId>,
    /// Its provider.
    provider: Option<String>,
    /// What happened.
    title: &'static str,
    /// What it means.
    meaning: &'static str,
    /// What does not work because of it, where it is about a connection.
    impact: Option<String>,
    /// What to do.
    next_action: &'static str,
    /// How often it was seen: failures of a connection, dead jobs, late schedules. Of dead
    /// jobs, no more than 1000 at once are counted.
    count: i64,
    /// When it was first seen.
    first_seen: DateTime<Utc>,
    /// When it was last seen, to the minute.
    last_seen: DateTime<Utc>,
    /// Times that it was opened again within the quiet period after it was resolved.
    flaps: i32,
    /// When a person took notice.
    acknowledged_at: Option<DateTime<Utc>>,
    /// Who did.
    acknowledged_by: Option<String>,
    /// Until when nobody wants to hear of it.
    silenced_until: Option<DateTime<Utc>>,
    /// Who silenced it.
    silenced_by: Option<String>,
    /// When a message on it was last sent off to the organization's channels.
    notified_at: Option<DateTime<Utc>>,
    /// When its cause was found to be gone.
    resolved_at: Option<DateTime<Utc>>,
}

impl AlertView {
    /// As people see it; `providers` are those of the connections.
    pub fn of(
        known: &Registry,
        providers: &HashMap<ConnectionId, String>,
        row: alert::Model,
    ) -> Self {
        let words = row.kind.words();
        let provider = row.connection_id.and_then(|id| providers.get(&id).cloned());
        let known = provider.as_deref().and_then(|key| known.get(key));
        Self {
            state: row.state(),
            impact: known.map(|provider| provider.manifest().impact.clone()),
            provider,
            id: row.id,
            kind: row.kind,
            connection_id: row.connection_id,
            title: words.title,
            meaning: words.meaning,
            next_action: words.next_action,
            count: row.count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            flaps: row.flaps,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            silenced_until: row.silenced_until,
            silenced_by: row.silenced_by,
            notified_at: row.notified_at,
            resolved_at: row.resolved_at,
        }
    }

    pub(crate) fn id(&self) -> AlertId {
        self.id
    }

    /// Whether its cause is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.state == AlertState::Resolved
    }
}

/// Which alerts to read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// Only in this state.
    #[param(schema_with = schemas::alert_state)]
    state: Option<AlertState>,
    /// Only of this kind.
    #[param(schema_with = schemas::alert_kind)]
    kind: Option<AlertKind>,
    /// Only about this connection.
    #[param(value_type = Option<Uuid>)]
    connection: Option<ConnectionId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries of the page: 1 to 200, 50 if not said.
    limit: Option<u64>,
}

/// Alerts: those that are not resolved first, then the others, in each part newest first.
#[utoipa::path(
    get, path = "/alerts", tag = "overview", params(AlertsQuery),
    responses((status = 200, body = Page<AlertView>), (status = 400, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AlertsQuery>,
) -> Result<Json<Page<AlertView>>, Problem> {
    let limit = pages::limit(query.limit)?;
    let filter = AlertFilter {
        state: query.state,
        kind: query.kind,
        connection: query.connection,
        after: pages::place(List::Alerts, query.cursor.as_deref())?,
    };
    let rows = api.store.alerts(caller.org, &filter, limit + 1).await?;
    let providers = providers_of(&api, &caller, &rows).await?;
    Ok(Json(Page::of(
        List::Alerts,
        rows,
        limit,
        AlertPlace::of,
        |row| AlertView::of(&api.providers, &providers, row),
    )))
}

/// One alert.
#[utoipa::path(
    get, path = "/alerts/{id}", tag = "overview",
    params(("id" = Uuid, Path, description = "The alert")),
    responses((status = 200, body = AlertView), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<AlertId>,
) -> Result<Json<AlertView>, Problem> {
    Ok(Json(show(&api, &caller, id).await?))
}

/// The alert as it is now.
async fn show(api: &Api, caller: &Caller, id: AlertId) -> Result<AlertView, Problem> {
    let row = api.store.alert(caller.org, id).await?;
    let row = row.ok_or_else(|| Problem::not_found("alert"))?;
    let providers = providers_of(api, caller, std::slice::from_ref(&row)).await?;
    Ok(AlertView::of(&api.providers, &providers, row))
}

/// The provider of each connection that the alerts are about.
async fn providers_of(
    api: &Api,
    caller: &Caller,
    rows: &[alert::Model],
) -> Result<HashMap<ConnectionId, String>, Problem> {
    let connections = rows.iter().filter_map(|row| row.connection_id);
    Ok(api
        .store
        .providers_of_connections(caller.org, connections)
        .await?)
}
