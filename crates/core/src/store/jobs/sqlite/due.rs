//! Step 3 without hints, and the hints' own supply: due jobs, one org after the other.
//! A skip scan from org to org through the index; of lanes only the heads are looked at.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

use super::{
    claim::{alive, claim_one},
    job_ids, known_kinds, rows,
};
use crate::{
    entities::job::Model as Job,
    ids::{JobId, OrgId, ProcessId},
    job::Queue,
    store::{StoreError, jobs::Due},
};

const NEXT_TURN: &str = "
    select min(turn) as turn from (
        select min(turn) as turn from jobs where queue = ?1 and state = 'queued' and lane is null and turn > ?2
        union all
        select min(turn) from jobs where queue = ?1 and state = 'queued' and lane is not null and turn > ?2)";

/// Of an org's lanes the first thousand are looked at: it has one per connection and stream.
/// The look for known kinds ends after a thousand that are not: a flood left by a newer
/// version must not be walked through by every claim. The innermost subquery runs beside the
/// one around it, which takes its rows as they come: in order, and no more than it wants.
const CLAIMABLE: &str = "
    with recursive heads (lane, no) as (
        select min(lane), 1 from jobs
        where queue = ?1 and turn = ?2 and state = 'queued' and lane is not null
        union all
        select (select min(j.lane) from jobs j
                where j.queue = ?1 and j.turn = ?2 and j.state = 'queued' and j.lane is not null and j.lane > heads.lane),
               no + 1
        from heads where lane is not null and no < 1000
    )
    select id, run_at from (
        select id, run_at from (
            select id, run_at from (
                select id, run_at, kind from jobs
                where queue = ?1 and turn = ?2 and state = 'queued' and lane is null and run_at <= ?3
                  and (crashes = 0 or crashes = 1 and ?4)
                order by run_at, id limit 1000 + ?5)
            where kind in (select value from json_each(?6)) limit ?5)
        union all
        select j.id, j.run_at
        from heads join jobs j on j.id = (
            select o.id from jobs o
            where o.queue = ?1 and o.turn = ?2 and o.lane = heads.lane and o.state = 'queued'
            order by o.id limit 1)
        where heads.lane is not null and j.run_at <= ?3
          and j.kind in (select value from json_each(?6)) and (j.crashes = 0 or j.crashes = 1 and ?4)
          and not exists (select 1 from jobs r where r.lane = heads.lane and r.state = 'running'))
    order by run_at, id limit ?5";

const HOLDS_SUSPECT: &str =
    "select 1 from jobs where leased_by = ?1 and state = 'running' and crashes > 0";

/// Before the first org: the deployment's own turn is the nil id, which is not below itself.
const START: [u8; 0] = [];

/// Orgs in turn, beginning after one and going round once.
struct Turns {
    queue: Queue,
    begin: OrgId,
    at: Option<OrgId>,
    wrapped: bool,
}

impl Turns {
    fn after(queue: Queue, begin: OrgId) -> Self {
        Self {
            queue,
            begin,
            at: Some(begin),
            wrapped: false,
        }
    }

    async fn next(&mut self, db: &impl ConnectionTrait) -> Result<Option<OrgId>, StoreError> {
        loop {
            let from = self
                .at
                .map_or_else(|| START.to_vec(), |org| org.0.as_bytes().to_vec());
            let found = rows(db, NEXT_TURN, [self.queue.name().into(), from.into()]).await?;
            let turn: Option<Uuid> = found
                .first()
                .map(|row| row.try_get("", "turn"))
                .transpose()?
                .flatten();
            match turn.map(OrgId) {
                Some(turn) if self.wrapped && turn > self.begin => return Ok(None),
                Some(turn) => {
                    self.at = Some(turn);
                    return Ok(Some(turn));
                }
                None if self.wrapped => return Ok(None),
                None => {
                    self.wrapped = true;
                    self.at = None;
                }
            }
        }
    }
}

/// Jobs of one org that may run now, longest due first.
async fn claimable(
    db: &impl ConnectionTrait,
    queue: Queue,
    turn: OrgId,
    limit: usize,
    now: DateTime<Utc>,
    suspects: bool,
) -> Result<Vec<JobId>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    job_ids(
        db,
        CLAIMABLE,
        [
            queue.name().into(),
            turn.into(),
            now.into(),
            suspects.into(),
            limit.into(),
            known_kinds().into(),
        ],
    )
    .await
}

/// In laps, one job of each org, until the limit is reached or a lap gave nothing: the rule
/// as it stands in the tests, `job_protocol/model/turns.rs`.
pub(super) async fn claim(
    tx: &DatabaseTransaction,
    me: ProcessId,
    queue: Queue,
    limit: usize,
    after: OrgId,
    skip: &[OrgId],
    now: DateTime<Utc>,
) -> Result<Vec<Job>, StoreError> {
    if !alive(tx, me, now).await? {
        return Ok(Vec::new());
    }
    let mut jobs: Vec<Job> = Vec::new();
    let mut spent: HashSet<OrgId> = skip.iter().copied().collect();
    while jobs.len() < limit {
        let before = jobs.len();
        let mut turns = Turns::after(queue, after);
        while let Some(turn) = turns.next(tx).await? {
            if jobs.len() == limit {
                break;
            }
            if spent.contains(&turn) {
                continue;
            }
            let suspects = rows(tx, HOLDS_SUSPECT, [me.into()]).await?.is_empty();
            let ids = claimable(tx, queue, turn, 1, now, suspects).await?;
            let mut claimed = None;
            if let Some(id) = ids.first() {
                claimed = claim_one(tx, me, queue, *id, now).await?;
            }
            match claimed {
                Some(job) => jobs.push(job),
                None => {
                    spent.insert(turn);
                }
            }
        }
        if jobs.len() == before {
            break;
        }
    }
    Ok(jobs)
}

pub(super) async fn due(
    db: &impl ConnectionTrait,
    queue: Queue,
    per_turn: usize,
    limit: usize,
    after: OrgId,
    now: DateTime<Utc>,
) -> Result<Vec<Due>, StoreError> {
    let mut waiting: Vec<(OrgId, std::vec::IntoIter<JobId>)> = Vec::new();
    let mut turns = Turns::after(queue, after);
    while let Some(turn) = turns.next(db).await? {
        let jobs = claimable(db, queue, turn, per_turn, now, true).await?;
        if !jobs.is_empty() {
            waiting.push((turn, jobs.into_iter()));
        }
        if waiting.len() == limit {
            break;
        }
    }
    let mut due = Vec::new();
    while !waiting.is_empty() && due.len() < limit {
        waiting.retain_mut(|(turn, jobs)| match jobs.next() {
            Some(job) => {
                due.push(Due { job, turn: *turn });
                true
            }
            None => false,
        });
    }
    due.truncate(limit);
    Ok(due)
}
