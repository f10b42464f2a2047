//! Log lines of a job.

use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};

use super::statement;
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

/// Two writers of one job's log take turns by this lock and never meet on a number. It
/// is not the job's row: a fenced transaction may hold that for long.
const TAKE_TURN: &str = "select pg_advisory_xact_lock(hashtextextended($1::text, 0))";

const APPEND: &str = "
    with last as materialized (select coalesce(max(seq), 0) as seq from job_logs where job_id = $1),
    written as (
        insert into job_logs (job_id, seq, at, attempt, level, message, fields)
        select $1, last.seq + line.no, patchbay_now(), line.attempt, line.level, line.message, line.fields::jsonb
        from last, unnest($2::integer[], $3::text[], $4::text[], $5::text[])
            with ordinality as line (attempt, level, message, fields, no)
        returning seq
    )
    delete from job_logs where job_id = $1 and seq <= (select max(seq) from written) - $6";

pub(super) async fn append(
    db: &DatabaseConnection,
    job: JobId,
    mut lines: Vec<LogLine>,
) -> Result<(), StoreError> {
    let kept = usize::try_from(LOG_LINES_KEPT).unwrap_or(usize::MAX);
    lines.drain(..lines.len().saturating_sub(kept));
    if lines.is_empty() {
        return Ok(());
    }
    let attempts: Vec<i32> = lines.iter().map(|line| line.attempt).collect();
    let fields: Vec<String> = lines.iter().map(|line| json_text(&line.fields)).collect();
    let (levels, messages): (Vec<String>, Vec<String>) = lines
        .into_iter()
        .map(|line| (line.level, text_without_nul(line.message)))
        .unzip();
    let values = [
        job.into(),
        attempts.into(),
        levels.into(),
        messages.into(),
        fields.into(),
        LOG_LINES_KEPT.into(),
    ];
    let tx = db.begin().await?;
    tx.query_one_raw(statement(TAKE_TURN, [job.to_string().into()]))
        .await?;
    tx.execute_raw(statement(APPEND, values)).await?;
    tx.commit().await?;
    Ok(())
}
