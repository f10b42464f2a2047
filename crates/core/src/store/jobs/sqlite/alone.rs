//! Steps 3 and 8: a job that is to run alone, in a process that makes room for it.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::{claim::TAKE, known_kinds, one_job, rows, run};
use crate::{
    entities::job::Model as Job,
    ids::{JobId, ProcessId},
    job::Queue,
    store::StoreError,
};

/// Whether `j` waits to be run alone and may run now: ?2 queues, ?3 now, ?4 kinds.
macro_rules! may_run_alone {
    () => {
        "j.state = 'queued' and j.crashes >= 2 and j.run_at <= ?3
          and j.queue in (select value from json_each(?2)) and j.kind in (select value from json_each(?4))
          and (j.lane is null
            or not exists (select 1 from jobs r where r.lane = j.lane and r.state = 'running')
               and not exists (select 1 from jobs o where o.queue = j.queue and o.turn = j.turn
                               and o.lane = j.lane and o.state = 'queued' and o.id < j.id))"
    };
}

/// What it runs alone already, else what it makes room for and may still run, else what has
/// waited longest and no other process makes room for. Of those none while half of the living
/// workers make room: the others' work goes on.
const LOOK: &str = concat!(
    "
    select mine.alone_with as was, coalesce(
        (select j.id from jobs j
         where j.id = mine.alone_with and j.leased_by = ?1 and j.state = 'running' and j.crashes >= 2),
        (select j.id from jobs j where j.id = mine.alone_with and ",
    may_run_alone!(),
    "),
        (select j.id from jobs j where ",
    may_run_alone!(),
    "
            and not exists (select 1 from processes p
                            where p.alone_with = j.id and p.ended_at is null and p.id <> ?1)
            and (select 2 * count(*) filter (where alone_with is not null and id <> ?1)
                        < count(*) filter (where kind in ('worker', 'up'))
                 from processes where ended_at is null and lease_until > ?3)
         order by j.run_at, j.id limit 1)) as job
    from processes mine where mine.id = ?1 and mine.ended_at is null and mine.lease_until > ?3"
);

const FIND: &str = concat!(
    "
    select j.id, j.timeout_s from jobs j
    where j.id = (select alone_with from processes where id = ?1 and ended_at is null and lease_until > ?3)
      and ",
    may_run_alone!(),
    "
      and not exists (select 1 from jobs where leased_by = ?1)"
);

const SET: &str = "update processes set alone_with = ?2 where id = ?1 and ended_at is null";

/// The names of queues as a JSON array: SQLite has no other list.
fn names(queues: &[Queue]) -> String {
    let names: Vec<&str> = queues.iter().map(|queue| queue.name()).collect();
    serde_json::Value::from(names).to_string()
}

pub(super) async fn make_room(
    tx: &DatabaseTransaction,
    me: ProcessId,
    queues: &[Queue],
    now: DateTime<Utc>,
) -> Result<Option<JobId>, StoreError> {
    let values = [
        me.into(),
        names(queues).into(),
        now.into(),
        known_kinds().into(),
    ];
    let found = rows(tx, LOOK, values).await?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    let (was, job): (Option<JobId>, Option<JobId>) =
        (row.try_get("", "was")?, row.try_get("", "job")?);
    if was != job {
        run(tx, SET, [me.into(), job.map(|job| job.0).into()]).await?;
    }
    Ok(job)
}

pub(super) async fn claim_alone(
    tx: &DatabaseTransaction,
    me: ProcessId,
    queues: &[Queue],
    now: DateTime<Utc>,
) -> Result<Option<Job>, StoreError> {
    let values = [
        me.into(),
        names(queues).into(),
        now.into(),
        known_kinds().into(),
    ];
    let found = rows(tx, FIND, values).await?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    let id: JobId = row.try_get("", "id")?;
    let timeout: i32 = row.try_get("", "timeout_s")?;
    let deadline = now + TimeDelta::seconds(i64::from(timeout));
    one_job(
        tx,
        TAKE,
        [id.into(), me.into(), now.into(), deadline.into()],
    )
    .await
}

pub(super) async fn leave_room(db: &impl ConnectionTrait, me: ProcessId) -> Result<(), StoreError> {
    let none: Option<uuid::Uuid> = None;
    run(db, SET, [me.into(), none.into()]).await?;
    Ok(())
}
