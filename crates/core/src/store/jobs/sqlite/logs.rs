//! Log lines of a job.

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::{rows, run};
use crate::{
    ids::JobId,
    store::{
        StoreError,
        jobs::{
            LOG_LINES_KEPT, LogLine,
            ending::{json_text, text_without_nul},
        },
    },
};

const LAST: &str = "select coalesce(max(seq), 0) as seq from job_logs where job_id = ?1";

const APPEND: &str = "
    insert into job_logs (job_id, seq, at, attempt, level, message, fields) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const CAP: &str = "delete from job_logs where job_id = ?1 and seq <= ?2";

pub(super) async fn append(
    tx: &DatabaseTransaction,
    job: JobId,
    lines: Vec<LogLine>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut seq: i64 = match rows(tx, LAST, [job.into()]).await?.first() {
        Some(row) => row.try_get("", "seq")?,
        None => 0,
    };
    let kept = usize::try_from(LOG_LINES_KEPT).unwrap_or(usize::MAX);
    let surplus = lines.len().saturating_sub(kept);
    for line in lines.into_iter().skip(surplus) {
        seq += 1;
        let values = [
            job.into(),
            seq.into(),
            now.into(),
            line.attempt.into(),
            line.level.into(),
            text_without_nul(line.message).into(),
            json_text(&line.fields).into(),
        ];
        run(tx, APPEND, values).await?;
    }
    run(tx, CAP, [job.into(), (seq - LOG_LINES_KEPT).into()]).await?;
    Ok(())
}
