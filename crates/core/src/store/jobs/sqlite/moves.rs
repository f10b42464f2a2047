//! What people do with one job: cancel, retry, discard.

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::one_job;
use crate::{
    ids::{JobId, OrgId},
    store::{
        StoreError,
        jobs::{Moved, columns::job_columns},
    },
};

const FIND: &str = concat!(
    "select ",
    job_columns!(),
    " from jobs where id = ?1 and turn = ?2"
);

const CANCEL: &str = concat!(
    "
    update jobs
    set state = 'cancelled', lease_epoch = lease_epoch + 1, leased_by = null, deadline = null,
        finished_at = ?2, again = false, sealed = null
    where id = ?1 and state in ('queued', 'parked', 'running')
    returning ",
    job_columns!()
);

/// Refused while another job of its key is open: that one does the work. Refused also
/// where its sealed arguments are gone (`sealed_key` tells that there were some): without
/// them it could only fail.
const RETRY: &str = concat!(
    "
    update jobs
    set state = 'queued', run_at = ?2, attempt = 0, crashes = 0, again = false,
        error = null, dead_group = null, finished_at = null, discarded_at = null
    where id = ?1 and state in ('failed', 'quarantined') and (sealed is not null or sealed_key is null)
      and not exists (select 1 from jobs twin where twin.dedupe_key = jobs.dedupe_key
          and twin.state in ('queued', 'parked', 'running') and twin.dedupe_key is not null)
    returning ",
    job_columns!()
);

const DISCARD: &str = concat!(
    "
    update jobs set discarded_at = ?2, sealed = null
    where id = ?1 and state in ('failed', 'quarantined') and discarded_at is null
    returning ",
    job_columns!()
);

pub(super) async fn cancel(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Moved, StoreError> {
    move_one(tx, org, job, CANCEL, now).await
}

pub(super) async fn retry(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Moved, StoreError> {
    move_one(tx, org, job, RETRY, now).await
}

pub(super) async fn discard(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Moved, StoreError> {
    move_one(tx, org, job, DISCARD, now).await
}

async fn move_one(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
    sql: &str,
    now: DateTime<Utc>,
) -> Result<Moved, StoreError> {
    let Some(before) = one_job(tx, FIND, [job.into(), org.into()]).await? else {
        return Ok(Moved::Missing);
    };
    Ok(match one_job(tx, sql, [job.into(), now.into()]).await? {
        Some(after) => Moved::Done(Box::new(after)),
        None => Moved::Refused(Box::new(before)),
    })
}
