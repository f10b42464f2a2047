//! Step 1: inserts jobs, or finds the open job that does the same work. The caller's
//! transaction is the only writer, so what is looked up stays so until it commits.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, DatabaseTransaction};

use super::{after, one_job, run};
use crate::{
    ids::JobId,
    job::{Enqueued, JobState, NewJob},
    store::{
        StoreError,
        jobs::{columns::job_columns, ending::json_text},
    },
};

const INSERT: &str = concat!(
    "
    insert into jobs (id, org_id, connection_id, kind, queue, lane, args, sealed, sealed_key, state, run_at,
                      max_attempts, timeout_s, dedupe_key, trace_context, requested_by, created_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'queued', ?10, ?11, ?12, ?13, ?14, ?15, ?16)
    returning ",
    job_columns!()
);

const FIND_OPEN: &str = concat!(
    "select ",
    job_columns!(),
    " from jobs
    where dedupe_key = ?1 and state in ('queued', 'parked', 'running') and dedupe_key is not null"
);

const ONCE_MORE: &str = "update jobs set again = true where id = ?1";

pub(super) async fn enqueue(
    tx: &DatabaseTransaction,
    jobs: Vec<NewJob>,
    ids: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Enqueued>, StoreError> {
    let mut answers = Vec::with_capacity(jobs.len());
    for (job, id) in jobs.into_iter().zip(ids) {
        let open = match &job.dedupe_key {
            Some(key) => one_job(tx, FIND_OPEN, [key.clone().into()]).await?,
            None => None,
        };
        answers.push(match open {
            Some(mut open) if open.state == JobState::Running => {
                run(tx, ONCE_MORE, [open.id.into()]).await?;
                open.again = true;
                Enqueued::Again(open)
            }
            Some(open) => Enqueued::Waiting(open),
            None => Enqueued::New(insert(tx, job, *id, now).await?),
        });
    }
    Ok(answers)
}

async fn insert(
    tx: &DatabaseTransaction,
    job: NewJob,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<crate::entities::job::Model, StoreError> {
    let (sealed, sealed_key) = job
        .sealed
        .map(|sealed| (sealed.bytes, sealed.key_id))
        .unzip();
    let values = [
        id.into(),
        job.org.into(),
        job.connection.into(),
        job.kind.to_value().into(),
        job.queue.name().into(),
        job.lane.into(),
        json_text(&job.args).into(),
        sealed.into(),
        sealed_key.into(),
        after(now, job.delay).into(),
        job.max_attempts.into(),
        i32::try_from(job.timeout.as_secs())
            .unwrap_or(i32::MAX)
            .max(1)
            .into(),
        job.dedupe_key.into(),
        job.trace_context.into(),
        job.requested_by.into(),
        now.into(),
    ];
    one_job(tx, INSERT, values)
        .await?
        .ok_or(StoreError::Unreadable {
            what: "jobs",
            why: "an insert gave no row".into(),
        })
}
