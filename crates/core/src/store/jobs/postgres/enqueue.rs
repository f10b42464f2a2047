//! Step 1: inserts jobs, or finds the open job that does the same work.
//!
//! The unique index on `dedupe_key` decides who is first. Whoever comes second locks
//! the open job until the caller commits: a waiting one is not claimed before, and a
//! running one does not finish before its `again` is seen. Where the job ended
//! between the two statements there is no open job any more, and the insert is tried again.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};
use uuid::Uuid;

use super::{jobs_of, millis, rows, statement, uuids};
use crate::{
    entities::job::Model as Job,
    ids::JobId,
    job::{Enqueued, JobState, NewJob},
    store::{
        StoreError,
        jobs::{columns::job_columns, ending::json_text},
    },
};

/// An optional value travels as the empty text, the nil id or no bytes: arrays of
/// optional values cannot be bound.
const INSERT: &str = concat!(
    "
    insert into jobs (id, org_id, connection_id, kind, queue, lane, args, sealed, sealed_key, state, run_at,
                      max_attempts, timeout_s, dedupe_key, trace_context, requested_by, created_at)
    select new.id, nullif(new.org_id, '00000000-0000-0000-0000-000000000000'),
           nullif(new.connection_id, '00000000-0000-0000-0000-000000000000'),
           new.kind, new.queue, nullif(new.lane, ''), new.args::jsonb, nullif(new.sealed, ''), nullif(new.sealed_key, ''),
           'queued', clock.now + new.delay_ms * interval '1 millisecond', new.max_attempts, new.timeout_s,
           nullif(new.dedupe_key, ''), nullif(new.trace_context, ''), new.requested_by, clock.now
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
                $9::text[], $10::bigint[], $11::integer[], $12::integer[], $13::text[], $14::text[], $15::text[])
         as new (id, org_id, connection_id, kind, queue, lane, args, sealed,
                 sealed_key, delay_ms, max_attempts, timeout_s, dedupe_key, trace_context, requested_by),
         (select patchbay_now() as now) clock
    on conflict (dedupe_key) where state in ('queued', 'parked', 'running') and dedupe_key is not null do nothing
    returning ",
    job_columns!()
);

const LOCK_OPEN: &str = concat!(
    "select ",
    job_columns!(),
    " from jobs
    where dedupe_key = any($1) and state in ('queued', 'parked', 'running') and dedupe_key is not null
    order by id for no key update"
);

const ONCE_MORE: &str = "update jobs set again = true where id = any($1)";

/// Rounds until a job that keeps ending between two statements is given up on.
const ROUNDS: usize = 50;

pub(super) async fn enqueue(
    tx: &DatabaseTransaction,
    jobs: Vec<NewJob>,
    ids: &[JobId],
) -> Result<Vec<Enqueued>, StoreError> {
    let mut answers: Vec<Option<Enqueued>> = Vec::with_capacity(jobs.len());
    answers.resize_with(jobs.len(), || None);
    let mut first_with_key: HashMap<&str, usize> = HashMap::new();
    let mut twins: Vec<(usize, usize)> = Vec::new();
    let mut wanted: Vec<usize> = Vec::with_capacity(jobs.len());
    for (place, job) in jobs.iter().enumerate() {
        match job
            .dedupe_key
            .as_deref()
            .and_then(|key| first_with_key.get(key))
        {
            Some(first) => twins.push((place, *first)),
            None => {
                if let Some(key) = &job.dedupe_key {
                    first_with_key.insert(key, place);
                }
                wanted.push(place);
            }
        }
    }
    // Two callers with the same keys in another order would wait for each other.
    wanted.sort_by_key(|place| jobs[*place].dedupe_key.as_deref());
    for _ in 0..ROUNDS {
        if wanted.is_empty() {
            break;
        }
        insert(tx, &jobs, ids, &wanted, &mut answers).await?;
        wanted.retain(|place| answers[*place].is_none());
        if wanted.is_empty() {
            break;
        }
        meet_open(tx, &jobs, &wanted, &mut answers).await?;
        wanted.retain(|place| answers[*place].is_none());
    }
    for (twin, first) in twins {
        answers[twin] = answers[first].as_ref().map(as_twin);
    }
    answers
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or(StoreError::Unreadable {
            what: "jobs.dedupe_key",
            why: format!("an open job of this key came and went {ROUNDS} times"),
        })
}

fn as_twin(first: &Enqueued) -> Enqueued {
    match first {
        Enqueued::New(job) | Enqueued::Waiting(job) => Enqueued::Waiting(job.clone()),
        Enqueued::Again(job) => Enqueued::Again(job.clone()),
    }
}

async fn insert(
    tx: &DatabaseTransaction,
    jobs: &[NewJob],
    ids: &[JobId],
    wanted: &[usize],
    answers: &mut [Option<Enqueued>],
) -> Result<(), StoreError> {
    let place_of: HashMap<JobId, usize> =
        wanted.iter().map(|place| (ids[*place], *place)).collect();
    let values = columns(jobs, ids, wanted);
    for job in jobs_of(&rows(tx, statement(INSERT, values)).await?)? {
        if let Some(place) = place_of.get(&job.id) {
            answers[*place] = Some(Enqueued::New(job));
        }
    }
    Ok(())
}

async fn meet_open(
    tx: &DatabaseTransaction,
    jobs: &[NewJob],
    wanted: &[usize],
    answers: &mut [Option<Enqueued>],
) -> Result<(), StoreError> {
    let place_of: HashMap<&str, usize> = wanted
        .iter()
        .filter_map(|place| Some((jobs[*place].dedupe_key.as_deref()?, *place)))
        .collect();
    let keys: Vec<String> = place_of.keys().map(|key| (*key).to_owned()).collect();
    let open: Vec<Job> = jobs_of(&rows(tx, statement(LOCK_OPEN, [keys.into()])).await?)?;
    let running = open
        .iter()
        .filter(|job| job.state == JobState::Running)
        .map(|job| job.id);
    let running: Vec<JobId> = running.collect();
    if !running.is_empty() {
        tx.execute_raw(statement(ONCE_MORE, [uuids(running)]))
            .await?;
    }
    for mut job in open {
        let Some(place) = job.dedupe_key.as_deref().and_then(|key| place_of.get(key)) else {
            continue;
        };
        answers[*place] = Some(if job.state == JobState::Running {
            job.again = true;
            Enqueued::Again(job)
        } else {
            Enqueued::Waiting(job)
        });
    }
    Ok(())
}

fn columns(jobs: &[NewJob], ids: &[JobId], wanted: &[usize]) -> [Value; 15] {
    let of = |column: fn(&NewJob) -> String| -> Value {
        wanted
            .iter()
            .map(|place| column(&jobs[*place]))
            .collect::<Vec<String>>()
            .into()
    };
    let sealed: Vec<Vec<u8>> = wanted
        .iter()
        .map(|place| {
            jobs[*place]
                .sealed
                .as_ref()
                .map(|sealed| sealed.bytes.clone())
                .unwrap_or_default()
        })
        .collect();
    let uuid = |column: fn(&NewJob) -> Uuid| -> Value {
        wanted
            .iter()
            .map(|place| column(&jobs[*place]))
            .collect::<Vec<Uuid>>()
            .into()
    };
    [
        uuids(wanted.iter().map(|place| ids[*place])),
        uuid(|job| job.org.map_or(Uuid::nil(), |org| org.0)),
        uuid(|job| {
            job.connection
                .map_or(Uuid::nil(), |connection| connection.0)
        }),
        of(|job| sea_orm::ActiveEnum::to_value(&job.kind)),
        of(|job| job.queue.name().to_owned()),
        of(|job| job.lane.clone().unwrap_or_default()),
        of(|job| json_text(&job.args)),
        sealed.into(),
        of(|job| {
            job.sealed
                .as_ref()
                .map(|sealed| sealed.key_id.clone())
                .unwrap_or_default()
        }),
        wanted
            .iter()
            .map(|place| millis(jobs[*place].delay))
            .collect::<Vec<i64>>()
            .into(),
        wanted
            .iter()
            .map(|place| jobs[*place].max_attempts)
            .collect::<Vec<i32>>()
            .into(),
        wanted
            .iter()
            .map(|place| {
                i32::try_from(jobs[*place].timeout.as_secs())
                    .unwrap_or(i32::MAX)
                    .max(1)
            })
            .collect::<Vec<i32>>()
            .into(),
        of(|job| job.dedupe_key.clone().unwrap_or_default()),
        of(|job| job.trace_context.clone().unwrap_or_default()),
        of(|job| job.requested_by.clone()),
    ]
}
