//! Step 3 without hints, and the hints' own supply: due jobs, one org after the other.

use std::collections::HashMap;

use sea_orm::DatabaseConnection;
use uuid::Uuid;

use super::{
    claim::{hit_a_wall, take_picked},
    jobs_of, rows, statement,
    turns::{heads_of_lanes, some_due, turns, without_lane},
};
use crate::{
    entities::job::Model as Job,
    ids::{OrgId, ProcessId},
    job::Queue,
    store::{
        StoreError,
        jobs::{Due, kinds},
    },
};

/// One claim, as if its orgs had their turns one after the other (the whole rule stands in
/// the tests, `job_protocol/model/turns.rs`). A process runs one suspect at a time: it goes
/// to the org whose turn comes to one first, and the others go on with their next job.
///
/// Twice the even share of each org, so that a claim at the same moment, which locks
/// some of them, leaves enough. Candidates are locked one by one, in turn, until there
/// are as many as wanted.
const CLAIM: &str = concat!(
    "
    with recursive clock as materialized (select patchbay_now() as now),
    suspects as materialized (
        select (select true from jobs where leased_by = $1 and state = 'running' and crashes > 0 limit 1) is not null as taken
    ),
    ",
    turns!("(crashes = 0 or crashes = 1 and not step.taken)"),
    ",
    share as materialized (select 2 * (($3 + count(*) - 1) / greatest(count(*), 1)) as jobs from turns),
    listed as materialized (
        select id, run_at, crashes, place, row_number() over (partition by place order by run_at, id) as round
        from turns, lateral (
            select id, run_at, crashes, row_number() over (partition by crashes > 0 order by run_at, id) as nth
            from (",
    without_lane!("turns.turn", "crashes = 0", "(select jobs from share)"),
    "
                union all
                (select id, run_at, crashes from ",
    without_lane!("turns.turn", "crashes < 2", "(select jobs from share)"),
    " first where crashes > 0 and not (select taken from suspects))
                union all ",
    heads_of_lanes!(
        "turns.turn",
        "(crashes = 0 or crashes = 1 and not (select taken from suspects))"
    ),
    ") waiting
        ) job
        where nth <= case when crashes > 0 then 1 else (select jobs from share) end
    ),
    candidates as materialized (
        select id, round, place
        from (
            select id, place, row_number() over (partition by place order by run_at, id) as round
            from listed
            where crashes = 0
               or id = (select id from listed where crashes > 0 order by round, place limit 1)
        ) mine
        where round <= (select jobs from share)
        order by round, place
    ),
    picked as materialized (
        select held.id as job, held.crashes as crashed
        from candidates, lateral (
            select j.id, j.crashes from jobs j
            where j.id = candidates.id and j.state || '' = 'queued' and j.run_at <= (select now from clock)
            for no key update skip locked) held
        where (select true from processes where id = $1 and ended_at is null and alone_with is null
               and lease_until > (select now from clock))
        limit $3
    )",
    take_picked!()
);

/// Of each org no more than twice its even share, and twenty where there are many orgs: a
/// thousand with two hundred lanes each would else be read whole, five times a second, for
/// two thousand hints (measured: seconds).
const DUE: &str = concat!(
    "
    with recursive clock as materialized (select patchbay_now() as now),
    suspects as materialized (select false as taken),
    ",
    turns!(any "crashes < 2"),
    ",
    share as materialized (
        select least($1, greatest(20, 2 * (($3 + count(*) - 1) / greatest(count(*), 1)))) as jobs from turns
    )
    select job.id, turn
    from turns, lateral ",
    some_due!("turns.turn", "crashes < 2", "(select jobs from share)"),
    " job
    order by row_number() over (partition by place order by run_at, id), place
    limit $3"
);

/// Statements until the claim is full: the first gives each org its share, the others
/// share out what orgs with fewer jobs left. All orgs that have more got the same number
/// then, so each round begins where the first one began.
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
    for _ in 0..ROUNDS {
        let open = limit - jobs.len();
        if open == 0 {
            break;
        }
        let values = [
            me.into(),
            queue.name().into(),
            count(open),
            after.into(),
            orgs(skip),
            kinds::known().into(),
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
        if claimed.is_empty() {
            break;
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
        kinds::known().into(),
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

/// One job of each org in turn, beginning after `after`; within an org the longest due first.
fn in_turns(mut jobs: Vec<Job>, after: OrgId) -> Vec<Job> {
    jobs.sort_by_key(|job| (job.run_at, job.id));
    let mut seen: HashMap<OrgId, usize> = HashMap::new();
    let mut keyed: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let turn = job.org_id.unwrap_or(OrgId::DEPLOYMENT);
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
