//! Step 8: takes back what dead processes held.

use sea_orm::{ActiveEnum, DatabaseConnection};

use super::{rows, statement};
use crate::{
    events::EventKind,
    ids::ProcessId,
    job::{CRASHES_TO_QUARANTINE, JobState},
    store::{
        StoreError,
        jobs::{DEADLINE_GRACE, Rescued, ending::quarantine_text},
    },
};

/// A UUIDv7 made by the database: the random bits of a version 4 with the time in front
/// and two bits of the version set (RFC 9562, section 5.7). Wants `clock (now)`.
macro_rules! new_id {
    () => {
        "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
             substring(int8send((extract(epoch from clock.now) * 1000)::bigint) from 3) from 1 for 6),
             52, 1), 53, 1), 'hex')::uuid"
    };
}

/// Who is charged: all that a dead process held. One that is to run alone is charged where it
/// did: what was beside it may have done it (docs/adr/0011). So that this is decided once, a
/// dead process waits while another transaction holds one of its rows (`whole`): at most
/// the four seconds of an idle transaction.
///
/// A job far past its deadline under a live process is charged by itself. A job whose
/// process has ended without it is not charged: that process was dealt with before.
///
/// A job that was given back since the statement began, and claimed again, is left to whoever
/// has it.
///
/// A quarantine stands in the org's activity log as soon as it stands.
const RESCUE: &str = concat!("
    with clock as materialized (select patchbay_now() as now),
    dead as materialized (
        select id as process from processes
        where ended_at is null and lease_until <= (select now from clock) and id <> $1
        order by id for no key update skip locked
    ),
    gone as materialized (
        select id as process from processes where ended_at is not null
    ),
    suspected as materialized (
        select id as job, process from dead, lateral (select id from jobs where leased_by = process) job
        union
        select id, process from gone, lateral (select id from jobs where leased_by = process) job
        union
        select id, process from (select id as process from processes where ended_at is null) living, lateral (
            select id from jobs
            where leased_by = process and deadline < (select now from clock) - $2 * interval '1 millisecond') job
    ),
    held as materialized (
        select id as job, leased_by, crashes,
               leased_by in (select process from dead) as of_dead,
               deadline < (select now from clock) - $2 * interval '1 millisecond'
                   and leased_by not in (select process from gone) as overdue
        from jobs
        where id = any(array(select job from suspected)) and state = 'running'
          and (id, leased_by) in (select job, process from suspected)
        order by id for no key update skip locked
    ),
    whole as materialized (
        select process from dead
        where (select count(*) from held where leased_by = process)
            = (select count(*) from jobs where leased_by = process)
    ),
    verdict as materialized (
        select job, case
            when of_dead then case
                when crashes < 2 or (select count(*) from held h where h.leased_by = held.leased_by) = 1
                then 1 else 0 end
            when overdue then 1
            else 0 end as charge
        from held
        where leased_by in (select process from whole) or overdue or leased_by in (select process from gone)
    ),
    buried as (
        update processes set ended_at = (select now from clock)
        from whole where id = whole.process
    ),
    charged as materialized (
        select array_agg(job order by job) as jobs, array_agg(charge order by job) as charges from verdict
    ),
    taken as (
        update jobs
        set (crashes, state, finished_at, error, dead_group) = (
                select jobs.crashes + charge,
                       case when dead_for_good then 'quarantined' else 'queued' end,
                       case when dead_for_good then clock.now end,
                       case when dead_for_good then $4::jsonb else jobs.error end,
                       case when dead_for_good then jobs.kind || ':' || coalesce((select c.provider
                            from connections c where c.id = jobs.connection_id), '-') || ':crash' end
                from clock, (
                    select charge, charge > 0 and jobs.crashes + charge >= $3 as dead_for_good
                    from (select charges[width_bucket(jobs.id, charged.jobs)] as charge from charged offset 0) mine
                    offset 0) verdict),
            run_at = (select now from clock), leased_by = null, deadline = null
        where id = any((select charged.jobs from charged)::uuid[])
        returning id, state, again, org_id, connection_id
    ),
    born as (
        insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at, max_attempts,
                          timeout_s, dedupe_key, trace_context, requested_by, created_at)
        select ", new_id!(), ", jobs.org_id, jobs.connection_id, kind, queue, lane, args, 'queued', clock.now, max_attempts,
               timeout_s, dedupe_key, trace_context, requested_by, clock.now
        from taken join jobs on jobs.id = taken.id, clock
        where taken.again and taken.state = 'quarantined'
    ),
    told as (
        insert into events (id, org_id, kind, actor, connection_id, job_id, data, at)
        select ", new_id!(), ", org_id, $5, 'system', connection_id, id, '{}', clock.now
        from taken, clock
        where taken.state = 'quarantined' and org_id is not null
    )
    select id, state from taken");

pub(super) async fn rescue(db: &DatabaseConnection, me: ProcessId) -> Result<Rescued, StoreError> {
    let values = [
        me.into(),
        super::millis(DEADLINE_GRACE).into(),
        CRASHES_TO_QUARANTINE.into(),
        quarantine_text()?.into(),
        EventKind::JobQuarantined.to_value().into(),
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
