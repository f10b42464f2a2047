//! The rows behind rotation: data keys of orgs, what processes hold, what uses which
//! key, and the passes. The cryptography is in [`crate::vault`].
//!
//! The statements are of the kind that both databases understand; where they differ, it
//! is in locks (SQLite's transactions take turns and need none).

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult,
    QueryFilter, QueryOrder, QueryResult, QuerySelect, Statement, Value,
    sea_query::{LockType, OnConflict},
};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::{
    entities::org_key,
    ids::{OrgId, OrgKeyId},
    vault::columns::Cell,
};

mod forget;
mod holders;
mod passes;
mod usage;
mod wrapping;

pub use forget::Forgotten;
pub use holders::Promoted;
pub use passes::{Reencryption, SealedRow, Swap};
pub use usage::{DataKeys, Used};

impl Store {
    /// The org's current data key, held until the transaction ends: while what is closed
    /// under it is not committed, nobody may find it unused and delete it.
    ///
    /// # Errors
    /// The database.
    pub async fn hold_current_key(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
    ) -> Result<Option<org_key::Model>, StoreError> {
        Ok(org_key::Entity::find()
            .filter(org_key::Column::OrgId.eq(org))
            .filter(org_key::Column::RetiredAt.is_null())
            .lock(LockType::KeyShare)
            .one(tx)
            .await?)
    }

    /// Gives an org its first data key, unless it has got one in between.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_org_key(
        &self,
        tx: &DatabaseTransaction,
        row: org_key::Model,
    ) -> Result<(), StoreError> {
        org_key::Entity::insert(org_key::ActiveModel::from(row))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await?;
        Ok(())
    }

    /// One data key of an org.
    ///
    /// # Errors
    /// The database.
    pub async fn org_key(
        &self,
        org: OrgId,
        id: OrgKeyId,
    ) -> Result<Option<org_key::Model>, StoreError> {
        Ok(org_key::Entity::find_by_id(id)
            .filter(org_key::Column::OrgId.eq(org))
            .one(self.db())
            .await?)
    }

    /// The data key made last.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_org_key(&self) -> Result<Option<org_key::Model>, StoreError> {
        Ok(org_key::Entity::find()
            .order_by_desc(org_key::Column::Id)
            .one(self.db())
            .await?)
    }

    /// An encrypted value as it stands now.
    ///
    /// # Errors
    /// The database.
    pub async fn sealed_value(&self, cell: &Cell) -> Result<Option<Vec<u8>>, StoreError> {
        let column = cell.column;
        let sql = format!(
            "select {} as sealed from {} where id = $1",
            column.column, column.table
        );
        let row = self.one_row(&sql, [cell.id().into()]).await?;
        Ok(row
            .map(|row| row.try_get("", "sealed"))
            .transpose()?
            .flatten())
    }

    async fn one_row(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        Ok(self
            .db()
            .query_one_raw(statement(self.db().get_database_backend(), sql, values))
            .await?)
    }

    async fn all_rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        rows(self.db(), sql, values).await
    }

    /// A number from a statement that answers it as `n`.
    async fn number(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, StoreError> {
        let row = self.one_row(sql, values).await?;
        let number: i64 = row.map_or(Ok(0), |row| row.try_get("", "n"))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }
}

fn statement(backend: DbBackend, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(backend, sql, values)
}

async fn rows(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    Ok(db
        .query_all_raw(statement(db.get_database_backend(), sql, values))
        .await?)
}

async fn run(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, StoreError> {
    let statement = statement(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}

fn org_keys_of(rows: &[QueryResult]) -> Result<Vec<org_key::Model>, StoreError> {
    Ok(rows
        .iter()
        .map(|row| org_key::Model::from_query_result(row, ""))
        .collect::<Result<_, _>>()?)
}

/// `$from, $from+1, ...`, as many.
fn marks(from: usize, many: usize) -> String {
    let marks: Vec<String> = (from..from + many).map(|at| format!("${at}")).collect();
    marks.join(", ")
}

/// What a lock is called, where there is one.
fn locked(backend: DbBackend, lock: &'static str) -> &'static str {
    match backend {
        DbBackend::Sqlite => "",
        _ => lock,
    }
}

fn uuids(keys: &[OrgKeyId]) -> Vec<Value> {
    keys.iter().map(|key| Value::from(key.0)).collect()
}

fn uuid(row: &QueryResult, name: &str) -> Result<Uuid, StoreError> {
    Ok(row.try_get("", name)?)
}
