//! Step 3 from hints: claims what of the hinted ids may run now.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DatabaseTransaction;

use super::{known_kinds, one_job, rows};
use crate::{
    entities::job::Model as Job,
    ids::{JobId, ProcessId},
    job::Queue,
    store::{StoreError, jobs::columns::job_columns},
};

const FIND: &str = "
    select timeout_s from jobs j
    where id = ?1 and queue = ?2 and state = 'queued' and run_at <= ?3
      and kind in (select value from json_each(?5))
      and (lane is null
        or not exists (select 1 from jobs r where r.lane = j.lane and r.state = 'running')
           and not exists (select 1 from jobs o
                           where o.queue = ?2 and o.turn = j.turn and o.lane = j.lane and o.state = 'queued' and o.id < j.id))
      and (crashes = 0
        or crashes = 1 and not exists (select 1 from jobs s where s.leased_by = ?4 and s.state = 'running' and s.crashes > 0))";

pub(super) const TAKE: &str = concat!(
    "
    update jobs
    set state = 'running', lease_epoch = lease_epoch + 1, leased_by = ?2,
        started_at = coalesce(started_at, ?3), deadline = ?4
    where id = ?1
    returning ",
    job_columns!()
);

const ALIVE: &str = "select 1 from processes where id = ?1 and ended_at is null and lease_until > ?2 and alone_with is null";

/// The claimed jobs, in the order of their hints.
pub(super) async fn claim(
    tx: &DatabaseTransaction,
    me: ProcessId,
    queue: Queue,
    ids: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Job>, StoreError> {
    if !alive(tx, me, now).await? {
        return Ok(Vec::new());
    }
    let mut oldest_first = ids.to_vec();
    oldest_first.sort_unstable();
    let mut jobs = Vec::new();
    for id in oldest_first {
        jobs.extend(claim_one(tx, me, queue, id, now).await?);
    }
    let place: HashMap<JobId, usize> = ids
        .iter()
        .enumerate()
        .map(|(place, id)| (*id, place))
        .collect();
    jobs.sort_by_key(|job| place.get(&job.id).copied());
    Ok(jobs)
}

/// Whether the process holds a live lease and makes room for no job.
pub(super) async fn alive(
    tx: &DatabaseTransaction,
    me: ProcessId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(!rows(tx, ALIVE, [me.into(), now.into()]).await?.is_empty())
}

/// Claims one job if it may run now.
pub(super) async fn claim_one(
    tx: &DatabaseTransaction,
    me: ProcessId,
    queue: Queue,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Job>, StoreError> {
    let found = rows(
        tx,
        FIND,
        [
            id.into(),
            queue.name().into(),
            now.into(),
            me.into(),
            known_kinds().into(),
        ],
    )
    .await?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    let timeout: i32 = row.try_get("", "timeout_s")?;
    let deadline = now + TimeDelta::seconds(i64::from(timeout));
    one_job(
        tx,
        TAKE,
        [id.into(), me.into(), now.into(), deadline.into()],
    )
    .await
}
