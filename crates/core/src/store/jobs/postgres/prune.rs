//! Retention of ended jobs, dead jobs' secrets, and ended processes.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{millis, statement};
use crate::store::{StoreError, jobs::SEALED_KEPT_AFTER_DEATH};

/// `sealed_key` stays, the mark of a job that cannot be retried.
const FORGET_SECRETS: &str = "
    update jobs set sealed = null
    where sealed is not null and finished_at is not null
      and finished_at < (select patchbay_now()) - $1 * interval '1 millisecond'";

const DELETE: &str = "
    delete from jobs where id in (
        select id from jobs
        where (state in ('succeeded', 'cancelled') or discarded_at is not null)
          and finished_at < (select patchbay_now()) - $1 * interval '1 millisecond'
        order by finished_at limit $2
        for update skip locked
    )";

const FORGET_PROCESSES: &str = "
    delete from processes
    where ended_at < (select patchbay_now()) - $1 * interval '1 millisecond'
      and (select true from jobs where leased_by = processes.id and state = 'running' limit 1) is null";

pub(super) async fn prune(
    db: &DatabaseConnection,
    older_than: Duration,
    limit: u64,
) -> Result<u64, StoreError> {
    db.execute_raw(statement(
        FORGET_SECRETS,
        [millis(SEALED_KEPT_AFTER_DEATH).into()],
    ))
    .await?;
    db.execute_raw(statement(FORGET_PROCESSES, [millis(older_than).into()]))
        .await?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let deleted = db
        .execute_raw(statement(DELETE, [millis(older_than).into(), limit.into()]))
        .await?;
    Ok(deleted.rows_affected())
}
