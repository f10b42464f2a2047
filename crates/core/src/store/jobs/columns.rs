//! The columns of a job as the entity reads them. Statements name each one: with
//! `*`, a migration that adds a column would break every prepared statement of a
//! running process ("cached plan must not change result type").

/// The columns of table `jobs` in the order of the entity, as a literal.
macro_rules! job_columns {
    () => {
        "id, org_id, connection_id, kind, queue, lane, args, sealed, sealed_key, state, run_at, \
         attempt, max_attempts, crashes, timeout_s, lease_epoch, leased_by, deadline, dedupe_key, \
         again, progress, progress_no, cursor, result, error, trace_context, requested_by, \
         created_at, started_at, finished_at, discarded_at"
    };
}
pub(super) use job_columns;
