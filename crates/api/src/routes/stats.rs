//! Counts for an overview.

use axum::{Json, extract::State};
use patchbay_core::{
    connection::{ConnectionStatus, Health},
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
    /// Alerts that are not resolved.
    alerts: u64,
    /// Connections by status.
    connections: Vec<ConnectionCount>,
    /// Connections that are not disconnected, as a dashboard shows them.
    totals: ConnectionTotals,
}

/// Connections that are not disconnected.
#[derive(Debug, Default, Serialize, ToSchema)]
struct ConnectionTotals {
    /// All of them.
    total: i64,
    /// Those that work.
    active: i64,
    /// Their credential was refused.
    error: i64,
    /// Their consent has ended.
    expired: i64,
    /// Switched off by a person.
    disabled: i64,
    /// Not yet tested with success.
    pending: i64,
    /// Of the active ones: checks pass.
    healthy: i64,
    /// Of the active ones: some checks fail.
    degraded: i64,
    /// Of the active ones: checks fail.
    failing: i64,
}

impl ConnectionTotals {
    fn add(&mut self, status: ConnectionStatus, health: Health, count: i64) {
        let of_status = match status {
            ConnectionStatus::Active => &mut self.active,
            ConnectionStatus::Error => &mut self.error,
            ConnectionStatus::Expired => &mut self.expired,
            ConnectionStatus::Disabled => &mut self.disabled,
            ConnectionStatus::Pending => &mut self.pending,
            ConnectionStatus::Disconnected => return,
        };
        *of_status += count;
        self.total += count;
        if status == ConnectionStatus::Active {
            match health {
                Health::Healthy => self.healthy += count,
                Health::Degraded => self.degraded += count,
                Health::Failing => self.failing += count,
                Health::Unknown => {}
            }
        }
    }
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
    let mut totals = ConnectionTotals::default();
    let mut by_status: Vec<ConnectionCount> = Vec::new();
    for (status, health, count) in connections {
        totals.add(status, health, count);
        match by_status.iter_mut().find(|known| known.status == status) {
            Some(known) => known.count += count,
            None => by_status.push(ConnectionCount { status, count }),
        }
    }
    Ok(Json(Stats {
        alerts: api.store.count_open_alerts(caller.org).await?,
        totals,
        connections: by_status,
        jobs: jobs
            .into_iter()
            .map(|count| JobCount {
                queue: count.queue,
                state: count.state,
                count: count.jobs,
            })
            .collect(),
        dead,
    }))
}
