//! Due checks become jobs.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use serde_json::Value;

use super::{DueChecks, Store, StoreError};
use crate::{
    entities::connection_health,
    ids::{ConnectionId, OrgId},
    job::{JobKind, NewJob, Queue},
    job_args::{CheckReason, HealthBatchArgs},
    store::{duties::lag::waited, jobs::Due},
};

/// Connections of one batch: enough that its job costs each of them little, few enough that
/// they are asked within seconds.
pub const IN_A_BATCH: usize = 100;

/// A batch that has not ended by then is stopped; what it has written stays.
pub const BATCH_TIMEOUT: Duration = Duration::from_secs(300);

/// The batch of a tick that is to run first, found in the index of due jobs, and since when it
/// waits: also one that was put off waits since its tick. Like every job of the clock's, it has
/// no lane. `$1`: whose turn it is.
const OLDEST: &str = "
    select case when created_at < run_at then created_at else run_at end as since from jobs
    where state = 'queued' and lane is null and queue = 'maintenance' and turn = $1
      and kind = 'health_batch'
    order by run_at limit 1";

/// What a tick did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TickedChecks {
    /// Checks that were due.
    pub checks: u64,
    /// The jobs that do them, to be hinted on [`Queue::Maintenance`].
    pub jobs: Vec<Due>,
    /// How long the one that waited longest had been due.
    pub lag: Duration,
}

impl Store {
    /// Makes the jobs of at most `limit` due checks, and sets the next times, in one
    /// transaction: batches of connections of one provider. Any number of schedulers do it
    /// at once.
    ///
    /// # Errors
    /// The database.
    pub async fn tick_checks(&self, limit: u32) -> Result<TickedChecks, StoreError> {
        let tx = self.begin().await?;
        let taken = self.take_due_checks(&tx, limit).await?;
        if taken.due.is_empty() {
            return Ok(TickedChecks::default());
        }
        let jobs = self.jobs().enqueue(&tx, batches(&taken)).await?;
        tx.commit().await?;
        let lag = taken.due.iter().map(|due| taken.at - due.was_due).max();
        Ok(TickedChecks {
            checks: taken.due.len() as u64,
            jobs: jobs
                .iter()
                .map(|enqueued| Due {
                    job: enqueued.job().id,
                    turn: OrgId::DEPLOYMENT,
                })
                .collect(),
            lag: lag.and_then(|lag| lag.to_std().ok()).unwrap_or_default(),
        })
    }

    /// How long the check that is due for longest has waited: for its tick, or in a batch for
    /// a worker, whichever is longer. Reads a row of each.
    ///
    /// # Errors
    /// The database.
    pub async fn check_lag(&self) -> Result<Duration, StoreError> {
        let now = self.jobs().now().await?;
        let ticks = waited(now, self.oldest_due_check(now).await?);
        let batches = waited(now, self.oldest_batch().await?);
        Ok(ticks.max(batches))
    }

    async fn oldest_due_check(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        use connection_health::Column;
        Ok(connection_health::Entity::find()
            .select_only()
            .column(Column::NextCheckAt)
            .filter(Column::NextCheckAt.lt(now))
            .order_by_asc(Column::NextCheckAt)
            .into_tuple()
            .one(self.db())
            .await?)
    }

    async fn oldest_batch(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let backend = self.db().get_database_backend();
        let values = [OrgId::DEPLOYMENT.into()];
        let asked = Statement::from_sql_and_values(backend, OLDEST, values);
        match self.db().query_one_raw(asked).await? {
            Some(row) => Ok(Some(row.try_get("", "since")?)),
            None => Ok(None),
        }
    }
}

fn batches(taken: &DueChecks) -> Vec<NewJob> {
    let mut of_provider: BTreeMap<&str, Vec<ConnectionId>> = BTreeMap::new();
    for check in &taken.due {
        of_provider
            .entry(&check.provider)
            .or_default()
            .push(check.connection_id);
    }
    let mut jobs = Vec::new();
    for (provider, connections) in of_provider {
        for connections in connections.chunks(IN_A_BATCH) {
            let args = HealthBatchArgs {
                provider: provider.to_owned(),
                reason: CheckReason::Scheduled,
                asked_at: taken.at,
                connections: connections.to_vec(),
            };
            jobs.push(NewJob {
                args: json_of(&args),
                timeout: BATCH_TIMEOUT,
                ..NewJob::new(None, JobKind::HealthBatch, Queue::Maintenance, "schedule")
            });
        }
    }
    jobs
}

fn json_of(args: &HealthBatchArgs) -> Value {
    serde_json::to_value(args).expect("ids, names and times are JSON")
}
