//! Step 8: takes back what dead processes held.

use sea_orm::DatabaseConnection;

use super::{rows, statement};
use crate::{
    ids::ProcessId,
    job::{CRASHES_TO_QUARANTINE, JobState},
    store::{
        StoreError,
        jobs::{DEADLINE_GRACE, Rescued, ending::quarantine_text},
    },
};

/// Who is charged: of a dead process the suspects it held, or all where it held none.
/// So that this is decided once, a dead process waits while another transaction holds
/// one of its rows (`whole`): at most the four seconds of an idle transaction.
///
/// A job far past its deadline under a live process is charged by itself. A job whose
/// process has ended without it is not charged: that process was dealt with before.
///
/// A successor's id is a UUIDv7 made here: the random bits of a version 4 with the
/// time in front and two bits of the version set (RFC 9562, section 5.7).
const RESCUE: &str = "
    with clock as materialized (select patchbay_now() as now),
    dead as materialized (
        select id as process from processes
        where ended_at is null and lease_until <= (select now from clock) and id <> $1
        order by id for no key update skip locked
    ),
    held as materialized (
        select id as job, leased_by, crashes,
               leased_by in (select process from dead) as of_dead,
               deadline < (select now from clock) - $2 * interval '1 millisecond' as overdue
        from jobs
        where state = 'running'
          and (leased_by in (select process from dead)
            or deadline < (select now from clock) - $2 * interval '1 millisecond'
            or (select true from processes where id = leased_by and ended_at is null) is null)
        order by id for no key update skip locked
    ),
    whole as materialized (
        select process from dead
        where (select count(*) from held where leased_by = process)
            = (select count(*) from jobs where leased_by = process and state = 'running')
    ),
    verdict as materialized (
        select job, case
            when of_dead then case
                when crashes > 0 or not (select bool_or(h.crashes > 0) from held h where h.leased_by = held.leased_by)
                then 1 else 0 end
            when overdue then 1
            else 0 end as charge
        from held
        where not of_dead or leased_by in (select process from whole)
    ),
    buried as (
        update processes set ended_at = (select now from clock)
        from whole where id = whole.process
    ),
    taken as (
        update jobs
        set crashes = crashes + verdict.charge,
            state = case when crashes + verdict.charge >= $3 and verdict.charge > 0 then 'quarantined' else 'queued' end,
            finished_at = case when crashes + verdict.charge >= $3 and verdict.charge > 0 then clock.now end,
            error = case when crashes + verdict.charge >= $3 and verdict.charge > 0 then $4::jsonb else error end,
            run_at = clock.now, leased_by = null, deadline = null
        from verdict, clock
        where id = verdict.job and state = 'running'
        returning id, state, again
    ),
    born as (
        insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at, max_attempts,
                          timeout_s, dedupe_key, trace_context, requested_by, created_at)
        select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
                   substring(int8send((extract(epoch from clock.now) * 1000)::bigint) from 3) from 1 for 6),
                   52, 1), 53, 1), 'hex')::uuid, org_id, connection_id, kind, queue, lane, args, 'queued', clock.now, max_attempts,
               timeout_s, dedupe_key, trace_context, requested_by, clock.now
        from taken join jobs on jobs.id = taken.id, clock
        where taken.again and taken.state = 'quarantined'
    )
    select id, state from taken";

pub(super) async fn rescue(db: &DatabaseConnection, me: ProcessId) -> Result<Rescued, StoreError> {
    let values = [
        me.into(),
        super::millis(DEADLINE_GRACE).into(),
        CRASHES_TO_QUARANTINE.into(),
        quarantine_text()?.into(),
    ];
    let mut rescued = Rescued::default();
    for row in rows(db, statement(RESCUE, values)).await? {
        let job = row.try_get("", "id")?;
        match row.try_get::<JobState>("", "state")? {
            JobState::Quarantined => rescued.quarantined.push(job),
            _ => rescued.requeued.push(job),
        }
    }
    Ok(rescued)
}
