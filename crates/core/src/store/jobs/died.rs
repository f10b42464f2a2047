//! What is written beside the end of a job that gave up, the same on both databases: its
//! group in the dead-letter queue, or, where it has no use for it, that it is discarded.

use sea_orm::{ConnectionTrait, Statement};

use super::Settled;
use crate::{
    job::{JobState, Settle, Settlement},
    retry::fingerprint,
    store::{StoreError, retry_policy::scope_of_kind},
};

/// Whether the dead-letter queue has no use for a job that gave up: its org wants none there,
/// or it was a question whose answer a person has got, and nothing is left to try again with
/// (the code of a consent is used up, a tested credential is forgotten).
///
/// The policy is read here and not by the worker, so that a body that settles itself, and a
/// worker that knows the policy of some seconds ago, cannot put a job where nobody looks.
macro_rules! unwanted {
    () => {
        concat!(
            "(jobs.kind in ('connection_test', 'consent_exchange')
             or (jobs.kind in ('action', 'alert_delivery') and jobs.max_attempts = 1)
             or exists (
                select 1 from retry_policies p
                where p.org_id = jobs.org_id and p.scope = ",
            scope_of_kind!(),
            " and not p.dead_letters))"
        )
    };
}

/// $1 job, $2 fingerprint.
const NOTE: &str = concat!(
    "
    update jobs
    set dead_group = kind || ':' || coalesce((
            select c.provider from connections c where c.id = jobs.connection_id), '-') || ':' || $2,
        discarded_at = case when ",
    unwanted!(),
    " then finished_at end,
        sealed = case when ",
    unwanted!(),
    " then null else sealed end
    where id = $1 and state = 'failed'"
);

/// Notes those that failed, in the transaction of their settlement. Failures are few: each
/// costs a statement of its own, and a success none.
pub(super) async fn note(
    db: &impl ConnectionTrait,
    settlements: &[Settlement],
    settled: &[Settled],
) -> Result<(), StoreError> {
    for settlement in settlements {
        let Settle::Fail { failure } = &settlement.end else {
            continue;
        };
        let job = settlement.lease.job;
        let failed = |one: &Settled| one.job == job && one.state == JobState::Failed;
        if settled.iter().any(failed) {
            let values = [job.into(), fingerprint::of(failure).into()];
            let backend = db.get_database_backend();
            db.execute_raw(Statement::from_sql_and_values(backend, NOTE, values))
                .await?;
        }
    }
    Ok(())
}
