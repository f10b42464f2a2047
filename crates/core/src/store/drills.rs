//! Effects of fault tests, in debug builds only. The test makes the table.

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement};

use super::{Store, StoreError};
use crate::job::Lease;

impl Store {
    /// Writes an effect in the caller's fenced transaction.
    ///
    /// # Errors
    /// The database, also where nobody has made the table.
    pub async fn record_drill(
        &self,
        tx: &DatabaseTransaction,
        lease: Lease,
        step: u32,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into drill_effects (job_id, step, epoch) values ($1, $2, $3)";
        let values = [lease.job.into(), i64::from(step).into(), lease.epoch.into()];
        let statement =
            Statement::from_sql_and_values(self.db().get_database_backend(), SQL, values);
        tx.execute_raw(statement).await?;
        Ok(())
    }
}
