//! What people do with one job: cancel, retry, discard.

use sea_orm::DatabaseTransaction;

use super::{claim::hit_a_wall, jobs_of, rows, statement};
use crate::{
    entities::job::Model as Job,
    ids::{JobId, OrgId},
    store::{
        StoreError,
        jobs::{Moved, columns::job_columns},
    },
};

const LOCK: &str = concat!(
    "select ",
    job_columns!(),
    " from jobs where id = $1 and turn = $2 for no key update"
);

const CANCEL: &str = concat!(
    "
    update jobs
    set state = 'cancelled', lease_epoch = lease_epoch + 1, leased_by = null, deadline = null,
        finished_at = patchbay_now(), again = false, sealed = null
    where id = $1 and state in ('queued', 'parked', 'running')
    returning ",
    job_columns!()
);

/// Refused while another job of its key is open: that one does the work. Refused also
/// where its sealed arguments are gone (`sealed_key` tells that there were some): without
/// them it could only fail.
const RETRY: &str = concat!(
    "
    update jobs
    set state = 'queued', run_at = patchbay_now(), attempt = 0, crashes = 0, again = false,
        error = null, dead_group = null, finished_at = null, discarded_at = null
    where id = $1 and state in ('failed', 'quarantined') and (sealed is not null or sealed_key is null)
      and (dedupe_key is null or (
        select true from jobs twin where twin.dedupe_key = jobs.dedupe_key
          and twin.state in ('queued', 'parked', 'running') and twin.dedupe_key is not null limit 1) is null)
    returning ",
    job_columns!()
);

const DISCARD: &str = concat!(
    "
    update jobs set discarded_at = patchbay_now(), sealed = null
    where id = $1 and state in ('failed', 'quarantined') and discarded_at is null
    returning ",
    job_columns!()
);

pub(super) async fn cancel(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
) -> Result<Moved, StoreError> {
    move_one(tx, org, job, CANCEL).await
}

pub(super) async fn retry(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
) -> Result<Moved, StoreError> {
    move_one(tx, org, job, RETRY).await
}

pub(super) async fn discard(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
) -> Result<Moved, StoreError> {
    move_one(tx, org, job, DISCARD).await
}

async fn move_one(
    tx: &DatabaseTransaction,
    org: OrgId,
    job: JobId,
    sql: &str,
) -> Result<Moved, StoreError> {
    let Some(before) = one(rows(tx, statement(LOCK, [job.into(), org.into()])).await?)? else {
        return Ok(Moved::Missing);
    };
    match rows(tx, statement(sql, [job.into()])).await {
        // A request of the job's key came in between: that job is open and does the work.
        Err(error) if hit_a_wall(&error) => Ok(Moved::Refused(Box::new(before))),
        moved => Ok(match one(moved?)? {
            Some(after) => Moved::Done(Box::new(after)),
            None => Moved::Refused(Box::new(before)),
        }),
    }
}

fn one(rows: Vec<sea_orm::QueryResult>) -> Result<Option<Job>, StoreError> {
    Ok(jobs_of(&rows)?.pop())
}
