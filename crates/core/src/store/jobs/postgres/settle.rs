//! Step 7: ends leases, many in one statement.

use sea_orm::{ActiveEnum, ConnectionTrait, Value};

use super::{millis, rows, statement, uuids};
use crate::{
    ids::JobId,
    job::{JobState, Settle, Settlement},
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
        "(wish.refused <> 0 and wish.refused <> coalesce(
            (select k.version from credentials k
             where k.connection_id = jobs.connection_id and k.revoked_at is null), wish.refused))"
    };
}

/// `again` is read from the row as it was updated, never from a snapshot: an enqueue
/// that sets it holds the row's lock, and this statement sees what it wrote.
///
/// A body that answered, whatever it said, did not take its process with it: it leaves at most
/// one death (docs/adr/0011).
///
/// A row finds its wish at the place of its id in the sorted `$1` (`width_bucket` is a
/// binary search). A join would be planned for ten rows and compare each with each.
const SETTLE: &str = concat!("
    with clock as materialized (select patchbay_now() as now),
    held as materialized (
        select id from jobs
        where id = any($1) and state = 'running' and lease_epoch = ($2::bigint[])[width_bucket(id, $1)]
        order by id for no key update
    ),
    done as (
        update jobs
        set (state, run_at, attempt, crashes, result, error, sealed, finished_at) = (
                select
                    case
                        when wish.state <> 'parked' then wish.state
                        when jobs.connection_id is null or ", active!(), " or ", replaced!(), " then 'queued'
                        else 'parked' end,
                    case
                        when wish.state in ('succeeded', 'failed') then jobs.run_at
                        when wish.state <> 'parked' or jobs.connection_id is null
                            then clock.now + wish.delay_ms * interval '1 millisecond'
                        when ", active!(), " and not ", replaced!(), " then clock.now + $10 * interval '1 millisecond'
                        else clock.now end,
                    jobs.attempt + wish.burns,
                    case when wish.state = 'succeeded' then 0
                         when wish.error <> '' then least(jobs.crashes, 1) else jobs.crashes end,
                    case when wish.state = 'succeeded' then wish.result::jsonb else jobs.result end,
                    case when wish.state = 'succeeded' then null
                         when wish.error = '' then jobs.error else wish.error::jsonb end,
                    case when wish.state = 'succeeded' then null else jobs.sealed end,
                    case when wish.state in ('succeeded', 'failed') then clock.now end
                from clock, (
                    select ($3::text[])[n] as state, ($4::bigint[])[n] as delay_ms, ($5::integer[])[n] as burns,
                           ($6::text[])[n] as result, ($7::text[])[n] as error, ($8::bigint[])[n] as refused
                    from (select width_bucket(jobs.id, $1::uuid[]) as n offset 0) place offset 0) wish),
            leased_by = null, deadline = null
        where id = any(array(select id from held))
        returning id, state,
                  case when again and state in ('succeeded', 'failed')
                       then ($9::uuid[])[width_bucket(id, $1)] end as successor
    ),
    born as (
        insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at, max_attempts,
                          timeout_s, dedupe_key, trace_context, requested_by, created_at)
        select done.successor, org_id, connection_id, kind, queue, lane, args, 'queued', clock.now, max_attempts,
               timeout_s, dedupe_key, trace_context, requested_by, clock.now
        from done join jobs on jobs.id = done.id, clock
        where done.successor is not null
    )
    select id, state, successor from done");

/// Waits for whoever is replacing the credential of these jobs' connections, so that
/// the settlement, a statement of its own, sees the outcome.
const LOCK_CONNECTIONS: &str = "
    select id from connections
    where id in (select connection_id from jobs where id = any($1))
    order by id for no key update";

/// Whether these need a transaction around [`settle`].
pub(super) fn takes_several_statements(settlements: &[Settlement]) -> bool {
    settlements
        .iter()
        .any(|settlement| matches!(settlement.end, Settle::Park { .. } | Settle::Fail { .. }))
}

fn may_park(settlements: &[Settlement]) -> bool {
    settlements
        .iter()
        .any(|settlement| matches!(settlement.end, Settle::Park { .. }))
}

/// Ends the leases; `successors` has an id for each, used where `again` is set.
pub(super) async fn settle(
    db: &impl ConnectionTrait,
    settlements: &[Settlement],
    successors: &[JobId],
) -> Result<Vec<Settled>, StoreError> {
    if settlements.is_empty() {
        return Ok(Vec::new());
    }
    if may_park(settlements) {
        let parking = settlements
            .iter()
            .filter(|settlement| matches!(settlement.end, Settle::Park { .. }));
        let jobs = uuids(parking.map(|settlement| settlement.lease.job));
        rows(db, statement(LOCK_CONNECTIONS, [jobs])).await?;
    }
    let settled = rows(
        db,
        statement(SETTLE, columns(&one_of_each(settlements), successors)?),
    )
    .await?;
    let settled: Vec<Settled> = settled
        .iter()
        .map(|row| {
            Ok(Settled {
                job: row.try_get("", "id")?,
                state: row.try_get::<JobState>("", "state")?,
                successor: row.try_get("", "successor")?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    died::note(db, settlements, &settled).await?;
    Ok(settled)
}

/// In id order, one for each job: of two runs of a job only the later can still hold it.
fn one_of_each(settlements: &[Settlement]) -> Vec<&Settlement> {
    let mut ordered: Vec<&Settlement> = settlements.iter().collect();
    ordered.sort_by_key(|settlement| {
        (
            settlement.lease.job,
            std::cmp::Reverse(settlement.lease.epoch),
        )
    });
    ordered.dedup_by_key(|settlement| settlement.lease.job);
    ordered
}

fn columns(settlements: &[&Settlement], successors: &[JobId]) -> Result<[Value; 10], StoreError> {
    let endings: Vec<Ending> = settlements
        .iter()
        .map(|settlement| Ending::of(&settlement.end))
        .collect::<Result<_, _>>()?;
    let texts = |text: fn(&Ending) -> Option<&String>| -> Value {
        endings
            .iter()
            .map(|ending| text(ending).cloned().unwrap_or_default())
            .collect::<Vec<String>>()
            .into()
    };
    Ok([
        uuids(settlements.iter().map(|settlement| settlement.lease.job)),
        settlements
            .iter()
            .map(|settlement| settlement.lease.epoch)
            .collect::<Vec<i64>>()
            .into(),
        endings
            .iter()
            .map(|ending| ending.state.to_value())
            .collect::<Vec<String>>()
            .into(),
        endings
            .iter()
            .map(|ending| millis(ending.delay))
            .collect::<Vec<i64>>()
            .into(),
        endings
            .iter()
            .map(|ending| ending.burns)
            .collect::<Vec<i32>>()
            .into(),
        texts(|ending| ending.result.as_ref()),
        texts(|ending| ending.error.as_ref()),
        endings
            .iter()
            .map(|ending| ending.refused.unwrap_or(0))
            .collect::<Vec<i64>>()
            .into(),
        uuids(successors.iter().take(settlements.len()).copied()),
        millis(PARK_UNDER_ACTIVE).into(),
    ])
}
