//! Leases of processes, the fence, and what is written behind it.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};

use super::{job_ids_of, rows, statement, uuids};
use crate::{
    ids::{JobId, ProcessId},
    job::Lease,
    progress::Progress,
    store::{
        StoreError,
        jobs::{LEASE, Renewal, STRAY_AFTER, ending::json_text},
    },
};

pub(super) async fn now(db: &DatabaseConnection) -> Result<DateTime<Utc>, StoreError> {
    let row = db
        .query_one_raw(statement("select patchbay_now() as now", []))
        .await?;
    let row = row.ok_or(StoreError::Unreadable {
        what: "patchbay_now()",
        why: "no row".into(),
    })?;
    Ok(row.try_get("", "now")?)
}

pub(super) async fn register(
    db: &DatabaseConnection,
    me: ProcessId,
    kind: &str,
    host: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into processes (id, kind, version, host, started_at, lease_until)
        select $1, $2, $3, $4, clock.now, clock.now + $5 * interval '1 millisecond'
        from (select patchbay_now() as now) clock";
    let version = env!("CARGO_PKG_VERSION");
    let values = [
        me.into(),
        kind.into(),
        version.into(),
        host.into(),
        super::millis(LEASE).into(),
    ];
    db.execute_raw(statement(SQL, values)).await?;
    Ok(())
}

/// A lease that has run out is never renewed: a rescuer may be at work on it.
///
/// A stray is a job that the process holds and does not know of: the reply to its claim
/// was lost. It goes back to the queue; should the reply come after all, the next renewal
/// tells that it is lost.
pub(super) async fn renew(
    db: &DatabaseConnection,
    me: ProcessId,
    held: &[Lease],
) -> Result<Renewal, StoreError> {
    const SQL: &str = "
        with clock as materialized (select patchbay_now() as now),
        renewed as (
            update processes set lease_until = clock.now + $2 * interval '1 millisecond'
            from clock where id = $1 and ended_at is null and lease_until > clock.now
            returning id
        ),
        lost as (
            select held.job, held.epoch from unnest($3::uuid[], $4::bigint[]) as held (job, epoch)
            where (select true from jobs where id = held.job and lease_epoch = held.epoch and state = 'running') is null
        ),
        strays as materialized (
            select id from jobs
            where leased_by = $1
              and deadline - timeout_s * interval '1 second' < (select now from clock) - $5 * interval '1 millisecond'
              and id not in (select unnest($3::uuid[]))
              and (select true from renewed)
            order by id for no key update skip locked
        ),
        freed as (
            update jobs set state = 'queued', run_at = (select now from clock), leased_by = null, deadline = null
            where id = any(array(select id from strays)) and leased_by = $1
            returning id
        )
        select mine.alive, mine.freed, lost.job, lost.epoch
        from (select exists (select from renewed) as alive, (select count(*) from freed) as freed) mine
             left join lost on true";
    let epochs: Vec<i64> = held.iter().map(|lease| lease.epoch).collect();
    let values = [
        me.into(),
        super::millis(LEASE).into(),
        uuids(held.iter().map(|lease| lease.job)),
        epochs.into(),
        super::millis(STRAY_AFTER).into(),
    ];
    let rows = rows(db, statement(SQL, values)).await?;
    let mut renewal = Renewal {
        alive: false,
        lost: Vec::new(),
    };
    let mut freed: i64 = 0;
    for row in &rows {
        renewal.alive = row.try_get("", "alive")?;
        freed = row.try_get("", "freed")?;
        if let Some(job) = row.try_get("", "job")? {
            renewal.lost.push(Lease {
                job,
                epoch: row.try_get("", "epoch")?,
            });
        }
    }
    if freed > 0 {
        tracing::warn!(
            jobs = freed,
            "claimed jobs that never arrived are queued again"
        );
    }
    Ok(renewal)
}

/// Two statements: the first waits for bodies that are writing, so the second sees
/// what they wrote.
pub(super) async fn leave(
    db: &DatabaseConnection,
    me: ProcessId,
) -> Result<Vec<JobId>, StoreError> {
    const END: &str = "
        update processes set ended_at = patchbay_now() where id = $1 and ended_at is null";
    const RELEASE: &str = "
        with held as materialized (
            select id from jobs where leased_by = $1 order by id for no key update
        )
        update jobs set state = 'queued', run_at = (select patchbay_now()), leased_by = null, deadline = null
        where id = any(array(select id from held)) and leased_by = $1
        returning id";
    db.execute_raw(statement(END, [me.into()])).await?;
    let mut released = job_ids_of(&rows(db, statement(RELEASE, [me.into()])).await?)?;
    released.sort_unstable();
    Ok(released)
}

pub(super) async fn fence(tx: &DatabaseTransaction, lease: Lease) -> Result<bool, StoreError> {
    const SQL: &str = "
        select id from jobs where id = $1 and lease_epoch = $2 and state = 'running' for no key update";
    let row = tx
        .query_one_raw(statement(SQL, [lease.job.into(), lease.epoch.into()]))
        .await?;
    Ok(row.is_some())
}

pub(super) async fn checkpoint(
    tx: &DatabaseTransaction,
    lease: Lease,
    progress: &Progress,
    cursor: Option<&serde_json::Value>,
) -> Result<(), StoreError> {
    const SQL: &str = "
        update jobs
        set progress = $3::jsonb, progress_no = progress_no + 1, cursor = coalesce($4::jsonb, cursor), crashes = 0
        where id = $1 and lease_epoch = $2 and state = 'running'";
    let progress = serde_json::to_value(progress).map_err(|error| StoreError::Unreadable {
        what: "progress",
        why: error.to_string(),
    })?;
    let values = [
        lease.job.into(),
        lease.epoch.into(),
        json_text(&progress).into(),
        cursor.map(json_text).into(),
    ];
    tx.execute_raw(statement(SQL, values)).await?;
    Ok(())
}
