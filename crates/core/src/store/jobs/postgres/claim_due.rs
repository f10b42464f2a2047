//! Step 3 without hints, and the hints' own supply: due jobs, one org after the other.
//!
//! A skip scan: from one org to the next through the index, so the cost is that of the
//! orgs asked about and not of their backlogs. Of an org's lanes only the heads are
//! looked at. Orgs whose queued jobs all wait for a later time are passed over at the
//! cost of a few index probes each.

use std::collections::HashMap;

use sea_orm::DatabaseConnection;
use uuid::Uuid;

use super::{
    claim::{hit_a_wall, take_picked},
    jobs_of, rows, statement,
};
use crate::{
    entities::job::Model as Job,
    ids::{OrgId, ProcessId},
    job::Queue,
    store::{StoreError, jobs::Due},
};

/// The first org with queued jobs in queue `$2` for which the condition on `turn` holds.
macro_rules! first_turn {
    ($condition:literal) => {
        concat!(
            "least((select turn from jobs where queue = $2 and state = 'queued' and lane is null and ",
            $condition,
            " order by turn limit 1),
             (select turn from jobs where queue = $2 and state = 'queued' and lane is not null and ",
            $condition,
            " order by turn limit 1))"
        )
    };
}

/// Jobs of one org that may run now, longest due first. Of its lanes the first thousand
/// are looked at: an org has one per connection and stream.
macro_rules! claimable {
    ($turn:literal, $limit:literal) => {
        concat!(
            "(select id, run_at from (
                (select id, run_at from jobs
                 where queue = $2 and turn = ",
            $turn,
            " and state = 'queued' and lane is null and run_at <= (select now from clock)
                   and (crashes = 0 or (select free from suspects))
                 order by run_at, id limit ",
            $limit,
            ")
                union all
                (with recursive heads (lane, id, run_at, crashes, no) as (
                    (select lane, id, run_at, crashes, 1 from jobs
                     where queue = $2 and turn = ",
            $turn,
            " and state = 'queued' and lane is not null
                     order by lane, id limit 1)
                    union all
                    select next.lane, next.id, next.run_at, next.crashes, no + 1
                    from heads, lateral (
                        select j.lane, j.id, j.run_at, j.crashes from jobs j
                        where j.queue = $2 and j.turn = ",
            $turn,
            " and j.state = 'queued' and j.lane is not null and j.lane > heads.lane
                        order by j.lane, j.id limit 1) next
                    where no < 1000
                 )
                 select id, run_at from heads
                 where run_at <= (select now from clock)
                   and (crashes = 0 or (select free from suspects))
                   and (select true from jobs r where r.lane = heads.lane and r.state = 'running' limit 1) is null)
            ) claimable
            order by run_at, id limit ",
            $limit,
            ")"
        )
    };
}

/// Whether it is worth stopping at `step.turn`. Here and above, `offset 0` keeps the
/// planner from writing the subquery out at each place that names its result.
macro_rules! verdict {
    () => {
        concat!(
            "lateral (select step.turn is not null and step.turn <> all($5)
                and (select true from ",
            claimable!("step.turn", "1"),
            " one) is not null as served offset 0) verdict"
        )
    };
}

/// Common table expressions up to `turns (turn, place)`: at most `$3` orgs with claimable
/// jobs in queue `$2`, beginning after `$4` and going round, without those in `$5`.
/// Wants `clock (now)` and `suspects (free)`.
macro_rules! turns {
    () => {
        concat!(
            "ahead (turn, served, n) as (
                select step.turn, verdict.served, verdict.served::integer
                from (select ",
            first_turn!("turn > $4"),
            " as turn offset 0) step, ",
            verdict!(),
            "
                union all
                select step.turn, verdict.served, ahead.n + verdict.served::integer
                from ahead, lateral (select ",
            first_turn!("turn > ahead.turn"),
            " as turn offset 0) step, ",
            verdict!(),
            "
                where ahead.turn is not null and ahead.n < $3
            ),
            behind (turn, served, n) as (
                select step.turn, verdict.served, ahead.n + verdict.served::integer
                from (select coalesce(max(n), 0) as n from ahead) ahead, lateral (select ",
            first_turn!("turn <= $4"),
            " as turn offset 0) step, ",
            verdict!(),
            "
                where ahead.n < $3
                union all
                select step.turn, verdict.served, behind.n + verdict.served::integer
                from behind, lateral (select ",
            first_turn!("turn > behind.turn and turn <= $4"),
            " as turn offset 0) step, ",
            verdict!(),
            "
                where behind.turn is not null and behind.n < $3
            ),
            turns as materialized (
                select turn, row_number() over (order by lap, turn) as place
                from (select 0 as lap, turn from ahead where served union all select 1, turn from behind where served) served
            )"
        )
    };
}

/// Twice the even share of each org, so that a claim at the same moment, which locks
/// some of them, leaves enough. Candidates are locked one by one, in turn, until there
/// are as many as wanted.
const CLAIM: &str = concat!(
    "
    with recursive clock as materialized (select patchbay_now() as now),
    suspects as materialized (
        select (select true from jobs where leased_by = $1 and state = 'running' and crashes > 0 limit 1) is null as free
    ),
    ",
    turns!(),
    ",
    share as materialized (select 2 * (($3 + count(*) - 1) / greatest(count(*), 1)) as jobs from turns),
    candidates as materialized (
        select job.id, row_number() over (partition by place order by run_at, id) as round, place
        from turns, lateral ",
    claimable!("turns.turn", "(select jobs from share)"),
    " job
        order by round, place
    ),
    picked as materialized (
        select held.id as job, held.crashes as crashed
        from candidates, lateral (
            select j.id, j.crashes from jobs j
            where j.id = candidates.id and j.state || '' = 'queued' and j.run_at <= (select now from clock)
            for no key update skip locked) held
        where (select true from processes where id = $1 and ended_at is null
               and lease_until > (select now from clock))
        limit $3
    )",
    take_picked!()
);

const DUE: &str = concat!(
    "
    with recursive clock as materialized (select patchbay_now() as now),
    suspects as materialized (select true as free),
    ",
    turns!(),
    "
    select job.id, turn
    from turns, lateral ",
    claimable!("turns.turn", "$1"),
    " job
    order by row_number() over (partition by place order by run_at, id), place
    limit $3"
);

/// Statements until the claim is full: the first gives each org its share, the others
/// share out what orgs with fewer jobs left.
const ROUNDS: usize = 4;

pub(super) async fn claim_due(
    db: &DatabaseConnection,
    me: ProcessId,
    queue: Queue,
    limit: usize,
    after: OrgId,
    skip: &[OrgId],
) -> Result<Vec<Job>, StoreError> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut from = after;
    for _ in 0..ROUNDS {
        let open = limit - jobs.len();
        if open == 0 {
            break;
        }
        let values = [
            me.into(),
            queue.name().into(),
            count(open),
            from.into(),
            orgs(skip),
        ];
        let round = async { jobs_of(&rows(db, statement(CLAIM, values)).await?) };
        let claimed = match round.await {
            // Another claim was faster; the next look sees it.
            Err(error) if hit_a_wall(&error) => continue,
            // The leases of earlier rounds stand, and somebody must run them.
            Err(error) if !jobs.is_empty() => {
                tracing::warn!(%error, claimed = jobs.len(), "a claim ended early");
                break;
            }
            claimed => claimed?,
        };
        // The next round goes on where this one ended: an org whose only candidate was a
        // suspect too many has its turn before the first one has another.
        match claimed
            .iter()
            .map(turn_of)
            .max_by_key(|turn| (*turn <= from, *turn))
        {
            Some(last) => from = last,
            None => break,
        }
        jobs.extend(claimed);
    }
    Ok(in_turns(jobs, after))
}

pub(super) async fn due(
    db: &DatabaseConnection,
    queue: Queue,
    per_turn: usize,
    limit: usize,
    after: OrgId,
) -> Result<Vec<Due>, StoreError> {
    let values = [
        count(per_turn),
        queue.name().into(),
        count(limit),
        after.into(),
        orgs(&[]),
    ];
    rows(db, statement(DUE, values))
        .await?
        .iter()
        .map(|row| {
            Ok(Due {
                job: row.try_get("", "id")?,
                turn: row.try_get("", "turn")?,
            })
        })
        .collect()
}

fn turn_of(job: &Job) -> OrgId {
    job.org_id.unwrap_or(OrgId::DEPLOYMENT)
}

/// One job of each org in turn, beginning after `after`; within an org the longest due first.
fn in_turns(mut jobs: Vec<Job>, after: OrgId) -> Vec<Job> {
    jobs.sort_by_key(|job| (job.run_at, job.id));
    let mut seen: HashMap<OrgId, usize> = HashMap::new();
    let mut keyed: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let turn = turn_of(&job);
            let round = seen.entry(turn).or_default();
            *round += 1;
            ((*round, turn <= after, turn), job)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, job)| job).collect()
}

fn count(number: usize) -> sea_orm::Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn orgs(orgs: &[OrgId]) -> sea_orm::Value {
    orgs.iter().map(|org| org.0).collect::<Vec<Uuid>>().into()
}
