//! Retention of ended jobs, dead jobs' secrets, and ended processes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::{before, run};
use crate::store::{StoreError, jobs::SEALED_KEPT_AFTER_DEATH};

/// `sealed_key` stays, the mark of a job that cannot be retried.
const FORGET_SECRETS: &str = "
    update jobs set sealed = null
    where sealed is not null and finished_at is not null and finished_at < ?1";

const DELETE: &str = "
    delete from jobs where id in (
        select id from jobs
        where (state in ('succeeded', 'cancelled') or discarded_at is not null) and finished_at < ?1
        order by finished_at limit ?2)";

const FORGET_PROCESSES: &str = "
    delete from processes
    where ended_at < ?1 and not exists (select 1 from jobs where leased_by = processes.id and state = 'running')";

pub(super) async fn prune(
    tx: &DatabaseTransaction,
    older_than: Duration,
    limit: u64,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    run(
        tx,
        FORGET_SECRETS,
        [before(now, SEALED_KEPT_AFTER_DEATH).into()],
    )
    .await?;
    run(tx, FORGET_PROCESSES, [before(now, older_than).into()]).await?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    run(tx, DELETE, [before(now, older_than).into(), limit.into()]).await
}
