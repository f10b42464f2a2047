//! Step 3 from hints: claims what of the hinted ids may run now.

use std::collections::HashMap;

use sea_orm::{DatabaseConnection, SqlErr};

use super::{jobs_of, rows, statement, uuids};
use crate::{
    entities::job::Model as Job,
    ids::{JobId, ProcessId},
    job::Queue,
    store::{StoreError, jobs::kinds},
};

/// Sets the rows of `picked (job, crashed)` running under process `$1`; at most one of
/// them may be a suspect, and none where the process runs one already.
macro_rules! take_picked {
    () => {
        concat!(
            "
            update jobs
            set state = 'running', lease_epoch = lease_epoch + 1, leased_by = $1,
                started_at = coalesce(started_at, (select now from clock)),
                deadline = (select now from clock) + timeout_s * interval '1 second'
            where id = any(array(
                select job from picked
                where crashed = 0
                   or job = (select job from picked where crashed > 0 order by job limit 1)
                      and (select true from jobs where leased_by = $1 and state = 'running' and crashes > 0) is null))
            returning ",
            $crate::store::jobs::columns::job_columns!()
        )
    };
}
pub(super) use take_picked;

const SQL: &str = concat!(
    "
    with clock as materialized (select patchbay_now() as now),
    picked as materialized (
        select j.id as job, j.crashes as crashed
        from jobs j
        where j.id = any($3) and j.queue = $2 and j.state || '' = 'queued' and j.run_at <= (select now from clock)
          and j.kind = any($4) and j.crashes < 2
          and (select true from processes where id = $1 and ended_at is null and alone_with is null
               and lease_until > (select now from clock))
          and (j.lane is null
            or (select true from jobs r where r.lane = j.lane and r.state = 'running' limit 1) is null
               and (select o.id from jobs o
                    where o.queue = $2 and o.turn = j.turn and o.lane = j.lane and o.state = 'queued'
                    order by o.id limit 1) = j.id)
        order by j.id
        for no key update skip locked
    )",
    take_picked!()
);

/// The claimed jobs, in the order of their hints.
pub(super) async fn claim(
    db: &DatabaseConnection,
    me: ProcessId,
    queue: Queue,
    ids: &[JobId],
) -> Result<Vec<Job>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut jobs = match claim_at_once(db, me, queue, ids).await {
        Err(error) if hit_a_wall(&error) => claim_one_by_one(db, me, queue, ids).await?,
        claimed => claimed?,
    };
    let place: HashMap<JobId, usize> = ids
        .iter()
        .enumerate()
        .map(|(place, id)| (*id, place))
        .collect();
    jobs.sort_by_key(|job| place.get(&job.id).copied());
    Ok(jobs)
}

/// Another claim took the lane, or this process another suspect, between what the
/// statement saw and what it wrote. One such job must not sink its whole batch, and an
/// error not what was claimed before it: those leases stand, and somebody must run them.
async fn claim_one_by_one(
    db: &DatabaseConnection,
    me: ProcessId,
    queue: Queue,
    ids: &[JobId],
) -> Result<Vec<Job>, StoreError> {
    let mut jobs = Vec::new();
    for id in ids {
        match claim_at_once(db, me, queue, std::slice::from_ref(id)).await {
            Err(error) if hit_a_wall(&error) => {}
            Err(error) if !jobs.is_empty() => {
                tracing::warn!(%error, claimed = jobs.len(), "a claim ended early");
                break;
            }
            claimed => jobs.extend(claimed?),
        }
    }
    Ok(jobs)
}

async fn claim_at_once(
    db: &DatabaseConnection,
    me: ProcessId,
    queue: Queue,
    ids: &[JobId],
) -> Result<Vec<Job>, StoreError> {
    let values = [
        me.into(),
        queue.name().into(),
        uuids(ids.iter().copied()),
        kinds::known().into(),
    ];
    jobs_of(&rows(db, statement(SQL, values)).await?)
}

/// Whether a move met a unique index. A job that starts to run enters the one behind
/// lanes and the one behind suspects; one that is retried enters that of open keys.
pub(super) fn hit_a_wall(error: &StoreError) -> bool {
    let StoreError::Database(error) = error else {
        return false;
    };
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
