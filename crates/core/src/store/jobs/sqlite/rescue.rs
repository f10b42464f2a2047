//! Step 8: takes back what dead processes held.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, DatabaseTransaction};

use super::{before, rows, run, settle::insert_successor};
use crate::{
    events::EventKind,
    ids::{JobId, ProcessId},
    job::{CRASHES_TO_QUARANTINE, CRASHES_TO_RUN_ALONE, JobState},
    store::{
        StoreError,
        jobs::{DEADLINE_GRACE, Rescued, ending::quarantine_text},
    },
};

const LIVING: &str =
    "select id, lease_until <= ?1 as expired from processes where ended_at is null order by id";

const RUNNING: &str = "
    select id, leased_by, crashes, again, deadline < ?1 as overdue from jobs
    where leased_by is not null order by id";

const BURY: &str = "update processes set ended_at = ?2 where id = ?1";

const TAKE: &str = "
    update jobs
    set crashes = ?2, state = ?3, finished_at = ?4, error = coalesce(?5, error), run_at = ?6,
        dead_group = case when ?5 is not null then kind || ':' || coalesce((select c.provider
            from connections c where c.id = jobs.connection_id), '-') || ':crash' end,
        leased_by = null, deadline = null
    where id = ?1";

/// ?1 event, ?2 job, ?3 kind, ?4 now.
const TELL: &str = "
    insert into events (id, org_id, kind, actor, connection_id, job_id, data, at)
    select ?1, org_id, ?3, 'system', connection_id, id, '{}', ?4 from jobs where id = ?2 and org_id is not null";

struct Held {
    job: JobId,
    by: ProcessId,
    crashes: i32,
    again: bool,
    overdue: bool,
}

/// Who is charged: all that a dead process held. One that is to run alone is charged where it
/// did: what was beside it may have done it (docs/adr/0011). A job far past its deadline
/// under a live process is charged by itself; one whose process has ended without it is not.
/// A quarantine stands in the org's activity log.
pub(super) async fn rescue(
    tx: &DatabaseTransaction,
    me: ProcessId,
    ours: &HashSet<ProcessId>,
    now: DateTime<Utc>,
    new_id: impl Fn() -> Vec<JobId> + Send,
) -> Result<Rescued, StoreError> {
    let mut dead: HashSet<ProcessId> = HashSet::new();
    let mut alive: HashSet<ProcessId> = HashSet::new();
    for row in rows(tx, LIVING, [now.into()]).await? {
        let process: ProcessId = row.try_get("", "id")?;
        let expired: bool = row.try_get("", "expired")?;
        if process != me && (expired || !ours.contains(&process)) {
            run(tx, BURY, [process.into(), now.into()]).await?;
            dead.insert(process);
        } else {
            alive.insert(process);
        }
    }
    let running = running(tx, now).await?;
    let mut jobs_of: HashMap<ProcessId, usize> = HashMap::new();
    for held in &running {
        *jobs_of.entry(held.by).or_default() += 1;
    }
    let mut rescued = Rescued::default();
    for held in running {
        let charged = if dead.contains(&held.by) {
            held.crashes < CRASHES_TO_RUN_ALONE || jobs_of.get(&held.by) == Some(&1)
        } else if held.overdue {
            true
        } else if alive.contains(&held.by) {
            continue;
        } else {
            false
        };
        take(tx, &held, charged, now, &new_id, &mut rescued).await?;
    }
    Ok(rescued)
}

async fn running(tx: &DatabaseTransaction, now: DateTime<Utc>) -> Result<Vec<Held>, StoreError> {
    rows(tx, RUNNING, [before(now, DEADLINE_GRACE).into()])
        .await?
        .iter()
        .map(|row| {
            Ok(Held {
                job: row.try_get("", "id")?,
                by: row.try_get("", "leased_by")?,
                crashes: row.try_get("", "crashes")?,
                again: row.try_get("", "again")?,
                overdue: row.try_get("", "overdue")?,
            })
        })
        .collect()
}

async fn take(
    tx: &DatabaseTransaction,
    held: &Held,
    charged: bool,
    now: DateTime<Utc>,
    new_id: &(impl Fn() -> Vec<JobId> + Send),
    rescued: &mut Rescued,
) -> Result<(), StoreError> {
    let crashes = held.crashes + i32::from(charged);
    let quarantined = charged && crashes >= CRASHES_TO_QUARANTINE;
    let state = if quarantined {
        JobState::Quarantined
    } else {
        JobState::Queued
    };
    let error = quarantined.then(quarantine_text).transpose()?;
    let values = [
        held.job.into(),
        crashes.into(),
        state.to_value().into(),
        quarantined.then_some(now).into(),
        error.into(),
        now.into(),
    ];
    run(tx, TAKE, values).await?;
    if quarantined {
        rescued.quarantined.push(held.job);
        let kind = EventKind::JobQuarantined.to_value();
        for event in new_id() {
            run(
                tx,
                TELL,
                [
                    event.into(),
                    held.job.into(),
                    kind.clone().into(),
                    now.into(),
                ],
            )
            .await?;
        }
        if held.again {
            for successor in new_id() {
                insert_successor(tx, held.job, successor, now).await?;
            }
        }
    } else {
        rescued.requeued.push(held.job);
    }
    Ok(())
}
