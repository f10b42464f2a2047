//! A run that ended without an answer of its body: past its deadline, or by a panic. Its body
//! cannot tell the connection any more, so whoever settles the job does.

use patchbay_core::{entities::connection, failure::Failure, job::JobKind, store::StoreError};
use sea_orm::DatabaseTransaction;

use super::checking;
use crate::context::Context;

/// Counts it on the connection as a body counts what it met, and has the connection checked:
/// was it this work, or is it the connection? The check has no hint; the schedulers see it. The
/// caller holds the connection's row.
///
/// # Errors
/// The database.
pub(crate) async fn count(
    ctx: &Context,
    tx: &DatabaseTransaction,
    row: &connection::Model,
    kind: JobKind,
    failure: &Failure,
) -> Result<(), StoreError> {
    let counted = ctx.store.note_cut_short(tx, row, kind, failure).await?;
    // A check, and a test, have just asked that.
    if counted && !matches!(kind, JobKind::ConnectionTest | JobKind::HealthCheck) {
        checking::soon(ctx, tx, row).await?;
    }
    Ok(())
}
