//! Leases of processes, the fence, and what is written behind it.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseConnection, DatabaseTransaction};

use super::{after, before, job_ids, rows, run};
use crate::{
    ids::{JobId, ProcessId},
    job::Lease,
    progress::Progress,
    store::{
        StoreError,
        jobs::{LEASE, Renewal, STRAY_AFTER, ending::json_text},
    },
};

pub(super) async fn register(
    db: &DatabaseConnection,
    me: ProcessId,
    kind: &str,
    host: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into processes (id, kind, version, host, started_at, lease_until)
        values (?1, ?2, ?3, ?4, ?5, ?6)";
    let version = env!("CARGO_PKG_VERSION");
    let lease = after(now, LEASE);
    run(
        db,
        SQL,
        [
            me.into(),
            kind.into(),
            version.into(),
            host.into(),
            now.into(),
            lease.into(),
        ],
    )
    .await?;
    Ok(())
}

/// A lease that has run out is never renewed: its jobs may be taken at any moment.
///
/// A stray is a job that the process holds and does not know of: the reply to its claim
/// was lost. It goes back to the queue; should the reply come after all, the next renewal
/// tells that it is lost.
pub(super) async fn renew(
    tx: &DatabaseTransaction,
    me: ProcessId,
    held: &[Lease],
    now: DateTime<Utc>,
) -> Result<Renewal, StoreError> {
    const RENEW: &str = "
        update processes set lease_until = ?3 where id = ?1 and ended_at is null and lease_until > ?2";
    const HELD: &str = "
        select id, lease_epoch, timeout_s, deadline from jobs where leased_by = ?1 order by id";
    const FREE: &str = "
        update jobs set state = 'queued', run_at = ?2, leased_by = null, deadline = null where id = ?1";
    let alive = run(tx, RENEW, [me.into(), now.into(), after(now, LEASE).into()]).await? == 1;
    let known: HashSet<JobId> = held.iter().map(|lease| lease.job).collect();
    let mut still: HashSet<Lease> = HashSet::new();
    let mut freed = 0;
    for row in rows(tx, HELD, [me.into()]).await? {
        let job: JobId = row.try_get("", "id")?;
        let timeout: i32 = row.try_get("", "timeout_s")?;
        let deadline: DateTime<Utc> = row.try_get("", "deadline")?;
        let claimed_at = deadline - TimeDelta::seconds(i64::from(timeout));
        if alive && !known.contains(&job) && claimed_at < before(now, STRAY_AFTER) {
            freed += run(tx, FREE, [job.into(), now.into()]).await?;
            continue;
        }
        let epoch = row.try_get("", "lease_epoch")?;
        still.insert(Lease { job, epoch });
    }
    if freed > 0 {
        tracing::warn!(
            jobs = freed,
            "claimed jobs that never arrived are queued again"
        );
    }
    Ok(Renewal {
        alive,
        lost: held
            .iter()
            .copied()
            .filter(|lease| !still.contains(lease))
            .collect(),
    })
}

pub(super) async fn leave(
    tx: &DatabaseTransaction,
    me: ProcessId,
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, StoreError> {
    const END: &str = "update processes set ended_at = ?2 where id = ?1 and ended_at is null";
    const RELEASE: &str = "
        update jobs set state = 'queued', run_at = ?2, leased_by = null, deadline = null
        where leased_by = ?1
        returning id";
    run(tx, END, [me.into(), now.into()]).await?;
    let mut released = job_ids(tx, RELEASE, [me.into(), now.into()]).await?;
    released.sort_unstable();
    Ok(released)
}

pub(super) async fn fence(tx: &DatabaseTransaction, lease: Lease) -> Result<bool, StoreError> {
    const SQL: &str = "select 1 from jobs where id = ?1 and lease_epoch = ?2 and state = 'running'";
    Ok(!rows(tx, SQL, [lease.job.into(), lease.epoch.into()])
        .await?
        .is_empty())
}

pub(super) async fn checkpoint(
    tx: &DatabaseTransaction,
    lease: Lease,
    progress: &Progress,
    cursor: Option<&serde_json::Value>,
) -> Result<(), StoreError> {
    const SQL: &str = "
        update jobs
        set progress = ?3, progress_no = progress_no + 1, cursor = coalesce(?4, cursor), crashes = 0
        where id = ?1 and lease_epoch = ?2 and state = 'running'";
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
    run(tx, SQL, values).await?;
    Ok(())
}
