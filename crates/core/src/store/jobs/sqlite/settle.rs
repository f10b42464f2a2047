//! Step 7: ends leases, in id order.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, DatabaseTransaction};

use super::{after, rows, run};
use crate::{
    ids::JobId,
    job::{JobState, Settlement},
    store::{
        StoreError,
        jobs::{
            Settled, died,
            ending::{Ending, PARK_UNDER_ACTIVE},
        },
    },
};

/// Whether the job's connection can be used as far as anybody knows.
macro_rules! active {
    () => {
        "(select c.status from connections c where c.id = jobs.connection_id) = 'active'"
    };
}

/// Whether another credential than the one that was refused is in force.
macro_rules! replaced {
    () => {
        "(?8 is not null and ?8 <> coalesce(
            (select k.version from credentials k
             where k.connection_id = jobs.connection_id and k.revoked_at is null), ?8))"
    };
}

/// ?1 job, ?2 epoch, ?3 state, ?4 run_at, ?5 attempts burnt, ?6 result, ?7 error,
/// ?8 credential version that was refused, ?9 now, ?10 a little later. A body that answered,
/// whatever it said, did not take its process with it: it leaves at most one death
/// (docs/adr/0011).
const SETTLE: &str = concat!(
    "
    update jobs
    set state = case
            when ?3 <> 'parked' then ?3
            when connection_id is null or ",
    active!(),
    " or ",
    replaced!(),
    " then 'queued'
            else 'parked' end,
        run_at = case
            when ?3 in ('succeeded', 'failed') then run_at
            when ?3 <> 'parked' or connection_id is null then ?4
            when ",
    active!(),
    " and not ",
    replaced!(),
    " then ?10
            else ?9 end,
        attempt = attempt + ?5,
        crashes = case when ?3 = 'succeeded' then 0 when ?7 is not null then min(crashes, 1) else crashes end,
        result = case when ?3 = 'succeeded' then ?6 else result end,
        error = case when ?3 = 'succeeded' then null else coalesce(?7, error) end,
        sealed = case when ?3 = 'succeeded' then null else sealed end,
        finished_at = case when ?3 in ('succeeded', 'failed') then ?9 end,
        leased_by = null, deadline = null
    where id = ?1 and lease_epoch = ?2 and state = 'running'
    returning state, again"
);

const SUCCESSOR: &str = "
    insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at, max_attempts,
                      timeout_s, dedupe_key, trace_context, requested_by, created_at)
    select ?2, org_id, connection_id, kind, queue, lane, args, 'queued', ?3, max_attempts,
           timeout_s, dedupe_key, trace_context, requested_by, ?3
    from jobs where id = ?1";

/// Ends the leases; `successors` has an id for each, used where `again` is set.
pub(super) async fn settle(
    tx: &DatabaseTransaction,
    settlements: &[Settlement],
    successors: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Settled>, StoreError> {
    let mut in_order: Vec<(&Settlement, JobId)> =
        settlements.iter().zip(successors.iter().copied()).collect();
    in_order.sort_by_key(|(settlement, _)| settlement.lease.job);
    let mut settled = Vec::with_capacity(in_order.len());
    for (settlement, successor) in in_order {
        settled.extend(settle_one(tx, settlement, successor, now).await?);
    }
    died::note(tx, settlements, &settled).await?;
    Ok(settled)
}

async fn settle_one(
    tx: &DatabaseTransaction,
    settlement: &Settlement,
    successor: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Settled>, StoreError> {
    let ending = Ending::of(&settlement.end)?;
    let values = [
        settlement.lease.job.into(),
        settlement.lease.epoch.into(),
        ending.state.to_value().into(),
        after(now, ending.delay).into(),
        ending.burns.into(),
        ending.result.into(),
        ending.error.into(),
        ending.refused.into(),
        now.into(),
        after(now, PARK_UNDER_ACTIVE).into(),
    ];
    let rows = rows(tx, SETTLE, values).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let state: JobState = row.try_get("", "state")?;
    let again: bool = row.try_get("", "again")?;
    let successor = (again && state.is_end()).then_some(successor);
    if let Some(successor) = successor {
        insert_successor(tx, settlement.lease.job, successor, now).await?;
    }
    Ok(Some(Settled {
        job: settlement.lease.job,
        state,
        successor,
    }))
}

/// The same work once more, because it was asked for while it ran.
pub(super) async fn insert_successor(
    tx: &DatabaseTransaction,
    job: JobId,
    successor: JobId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    run(tx, SUCCESSOR, [job.into(), successor.into(), now.into()]).await?;
    Ok(())
}
