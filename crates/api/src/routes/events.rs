//! The organization's activity log.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    entities::event,
    events::EventKind,
    ids::{ConnectionId, EventId, JobId},
    store::events::EventFilter,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::Caller,
    extract::Query,
    pages::{self, List, Page},
    problem::{Problem, ProblemBody},
    schemas,
    state::Api,
};

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// The line.
    #[schema(value_type = Uuid)]
    id: EventId,
    /// What happened.
    #[schema(schema_with = schemas::event_kind)]
    kind: EventKind,
    /// Who did it: `api_key:<id>`, `system`.
    actor: String,
    /// The connection it is about.
    #[schema(value_type = Option<Uuid>)]
    connection_id: Option<ConnectionId>,
    /// The job it is about.
    #[schema(value_type = Option<Uuid>)]
    job_id: Option<JobId>,
    /// What else there is to know.
    #[schema(value_type = Object)]
    data: Value,
    /// When.
    at: DateTime<Utc>,
}

impl From<event::Model> for EventView {
    fn from(row: event::Model) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            actor: row.actor,
            connection_id: row.connection_id,
            job_id: row.job_id,
            data: row.data,
            at: row.at,
        }
    }
}

/// Which lines to read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only of this kind.
    #[param(schema_with = schemas::event_kind)]
    kind: Option<EventKind>,
    /// Only about this connection.
    #[param(value_type = Option<Uuid>)]
    connection: Option<ConnectionId>,
    /// Only about this job.
    #[param(value_type = Option<Uuid>)]
    job: Option<JobId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries of the page: 1 to 200, 50 if not said.
    limit: Option<u64>,
}

/// The activity log, newest first.
#[utoipa::path(
    get, path = "/events", tag = "overview", params(EventsQuery),
    responses((status = 200, body = Page<EventView>), (status = 400, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Page<EventView>>, Problem> {
    let limit = pages::limit(query.limit)?;
    let filter = EventFilter {
        connection: query.connection,
        job: query.job,
        kind: query.kind,
        before: pages::place(List::Events, query.cursor.as_deref())?,
    };
    let rows = api.store.events(caller.org, &filter, limit + 1).await?;
    Ok(Json(Page::of(
        List::Events,
        rows,
        limit,
        |row| row.id,
        EventView::from,
    )))
}
