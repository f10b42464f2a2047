//! Counts for an overview.

use axum::{Json, extract::State};
use patchbay_core::{
    connection::ConnectionStatus,
    job::{JobState, Queue},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{access::Caller, problem::Problem, schemas, state::Api};

/// What is going on in the organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// Jobs that have not ended, and the dead-letter queue (failed, quarantined; not discarded).
    jobs: Vec<JobCount>,
    /// Jobs in the dead-letter queue.
    dead: i64,
    /// Connections by status.
    connections: Vec<ConnectionCount>,
}

/// Jobs of a queue in a state.
#[derive(Debug, Serialize, ToSchema)]
struct JobCount {
    #[schema(schema_with = schemas::queue)]
    queue: Queue,
    #[schema(schema_with = schemas::job_state)]
    state: JobState,
    count: i64,
}

/// Connections in a status.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectionCount {
    #[schema(schema_with = schemas::connection_status)]
    status: ConnectionStatus,
    count: i64,
}

/// Counts of jobs and connections.
#[utoipa::path(get, path = "/stats", tag = "overview", responses((status = 200, body = Stats)))]
pub async fn read(State(api): State<Api>, caller: Caller) -> Result<Json<Stats>, Problem> {
    let jobs = api.store.job_counts(caller.org).await?;
    let connections = api.store.connection_counts(caller.org).await?;
    let dead = jobs
        .iter()
        .filter(|count| count.state.is_end())
        .map(|count| count.jobs)
        .sum();
    Ok(Json(Stats {
        jobs: jobs
            .into_iter()
            .map(|count| JobCount {
                queue: count.queue,
                state: count.state,
                count: count.jobs,
            })
            .collect(),
        dead,
        connections: connections
            .into_iter()
            .map(|(status, count)| ConnectionCount { status, count })
            .collect(),
    }))
}
