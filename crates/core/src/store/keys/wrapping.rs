//! The statements of the re-wrapping: every data key under the primary key.

use sea_orm::{DatabaseTransaction, Value};

use super::{marks, org_keys_of, run, uuids};
use crate::{
    entities::org_key,
    ids::OrgKeyId,
    store::{Store, StoreError},
    vault::cipher::header,
};

impl Store {
    /// Data keys that another key than this one wraps, in order of their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn keys_to_rewrap(
        &self,
        primary: &str,
        after: OrgKeyId,
        limit: u64,
    ) -> Result<Vec<org_key::Model>, StoreError> {
        let begin = header(primary);
        let sql = format!(
            "select * from org_keys where id > $1 and substr(wrapped, 1, {}) <> $2 order by id limit {limit}",
            begin.len()
        );
        org_keys_of(&self.all_rows(&sql, [after.into(), begin.into()]).await?)
    }

    /// After [`Store::swap`] of wrapped keys: their column that names the key.
    ///
    /// # Errors
    /// The database.
    pub async fn name_wrapping_key(
        &self,
        tx: &DatabaseTransaction,
        keys: &[OrgKeyId],
        primary: &str,
    ) -> Result<(), StoreError> {
        let begin = header(primary);
        let sql = format!(
            "update org_keys set wrapped_by = $1 where substr(wrapped, 1, {}) = $2 and id in ({})",
            begin.len(),
            marks(3, keys.len())
        );
        let mut values: Vec<Value> = vec![primary.to_owned().into(), begin.into()];
        values.extend(uuids(keys));
        run(tx, &sql, values).await?;
        Ok(())
    }
}
