//! Steps 3 and 8: a job that is to run alone, in a process that makes room for it.

use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{
    claim::{hit_a_wall, take_picked},
    jobs_of, rows, statement,
};
use crate::{
    entities::job::Model as Job,
    ids::{JobId, ProcessId},
    job::Queue,
    store::{StoreError, jobs::kinds},
};

/// Whether `j` waits to be run alone and may run now. Wants `clock (now)` and the kinds in `$3`.
macro_rules! may_run_alone {
    () => {
        "j.state = 'queued' and j.crashes >= 2 and j.run_at <= (select now from clock) and j.kind = any($3)
          and (j.lane is null
            or (select true from jobs r where r.lane = j.lane and r.state = 'running' limit 1) is null
               and (select o.id from jobs o
                    where o.queue = j.queue and o.turn = j.turn and o.lane = j.lane and o.state = 'queued'
                    order by o.id limit 1) = j.id)"
    };
}

/// What it runs alone already, else what it makes room for and may still run, else what has
/// waited longest and no other process makes room for. Of those none while half of the living
/// workers make room: the others' work goes on. Two that look at one moment may be one too many.
const LOOK: &str = concat!(
    "
    with clock as materialized (select patchbay_now() as now),
    mine as materialized (
        select alone_with as job from processes
        where id = $1 and ended_at is null and lease_until > (select now from clock)
    )
    select mine.job as was, coalesce(
        (select j.id from jobs j
         where j.id = mine.job and j.leased_by = $1 and j.state = 'running' and j.crashes >= 2),
        (select j.id from jobs j where j.id = mine.job and j.queue = any($2) and ",
    may_run_alone!(),
    "),
        (select j.id from jobs j where ",
    may_run_alone!(),
    " and j.queue = any($2)
            and (select true from processes p where p.alone_with = j.id and p.ended_at is null and p.id <> $1) is null
            and (select 2 * count(*) filter (where alone_with is not null and id <> $1)
                        < count(*) filter (where kind in ('worker', 'up'))
                 from processes where ended_at is null and lease_until > (select now from clock))
         order by j.run_at, j.id limit 1)) as job
    from mine"
);

const TAKE: &str = concat!(
    "
    with clock as materialized (select patchbay_now() as now),
    picked as materialized (
        select j.id as job, j.crashes as crashed
        from jobs j
        where j.id = (select alone_with from processes where id = $1 and ended_at is null
                      and lease_until > (select now from clock))
          and j.queue = any($2) and ",
    may_run_alone!(),
    "
          and (select true from jobs where leased_by = $1 limit 1) is null
        for no key update skip locked
    )",
    take_picked!()
);

fn names(queues: &[Queue]) -> sea_orm::Value {
    let names: Vec<String> = queues.iter().map(|queue| queue.name().to_owned()).collect();
    names.into()
}

pub(super) async fn make_room(
    db: &DatabaseConnection,
    me: ProcessId,
    queues: &[Queue],
) -> Result<Option<JobId>, StoreError> {
    let values = [me.into(), names(queues), kinds::known().into()];
    let found = rows(db, statement(LOOK, values)).await?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    let (was, job): (Option<JobId>, Option<JobId>) =
        (row.try_get("", "was")?, row.try_get("", "job")?);
    if was != job {
        match set(db, me, job).await {
            // Another process was faster; the next look sees it.
            Err(error) if hit_a_wall(&error) => return Ok(None),
            set => set?,
        }
    }
    Ok(job)
}

pub(super) async fn claim_alone(
    db: &DatabaseConnection,
    me: ProcessId,
    queues: &[Queue],
) -> Result<Option<Job>, StoreError> {
    let values = [me.into(), names(queues), kinds::known().into()];
    match rows(db, statement(TAKE, values)).await {
        Ok(rows) => Ok(jobs_of(&rows)?.pop()),
        // Another claim took its lane; the next look sees it.
        Err(error) if hit_a_wall(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn leave_room(db: &DatabaseConnection, me: ProcessId) -> Result<(), StoreError> {
    set(db, me, None).await
}

async fn set(db: &DatabaseConnection, me: ProcessId, job: Option<JobId>) -> Result<(), StoreError> {
    const SQL: &str = "update processes set alone_with = $2 where id = $1 and ended_at is null";
    let job = job.map(|job| job.0);
    db.execute_raw(statement(SQL, [me.into(), job.into()]))
        .await?;
    Ok(())
}
