//! What uses which key: the retire gate and the status count here.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde::Serialize;

use crate::{
    entities::org_key,
    store::{Store, StoreError},
    vault::{
        cipher::header,
        columns::{ENCRYPTED, EncryptedColumn, MOVED, Under},
        holders::{HeldKey, KeySort},
    },
};

/// How many values of a column use a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// `table.column`.
    pub column: String,
    /// Values in it.
    pub rows: u64,
}

/// How many data keys there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DataKeys {
    /// One of each org that has secrets.
    pub current: u64,
    /// Old ones that something still uses.
    pub retired: u64,
}

impl DataKeys {
    /// Both.
    #[must_use]
    pub fn all(self) -> u64 {
        self.current + self.retired
    }
}

impl Store {
    /// Where a key of the keyring is in use, columns with none left out. Walks whole
    /// tables of keys: for operators.
    ///
    /// # Errors
    /// The database.
    pub async fn used(&self, key: &HeldKey) -> Result<Vec<Used>, StoreError> {
        let mut used = Vec::new();
        for column in ENCRYPTED {
            let rows = match (column.under, key.sort) {
                (Under::KeyringKey, KeySort::Wrapping) => {
                    self.rows_closed_by(column, &key.id).await?
                }
                (Under::SealingKey { key: named, .. }, KeySort::Sealing) => {
                    let sql = format!(
                        "select count(*) as n from {} where {} is not null and {named} = $1",
                        column.table, column.column
                    );
                    self.number(&sql, [key.id.clone().into()]).await?
                }
                (Under::KeyringKey, KeySort::Sealing)
                | (Under::SealingKey { .. }, KeySort::Wrapping)
                | (Under::DataKey | Under::MovedDataKey { .. }, _) => 0,
            };
            if rows > 0 {
                used.push(Used {
                    column: column.name(),
                    rows,
                });
            }
        }
        Ok(used)
    }

    /// Values of a column of vault blobs that this key closed, by what they begin with.
    ///
    /// # Errors
    /// The database.
    pub async fn rows_closed_by(
        &self,
        column: &EncryptedColumn,
        key_id: &str,
    ) -> Result<u64, StoreError> {
        let begin = header(key_id);
        let mut sql = format!(
            "select count(*) as n from {} where substr({}, 1, {}) = $1",
            column.table,
            column.column,
            begin.len()
        );
        if let Under::MovedDataKey { key } = column.under {
            sql.push_str(&format!(" and {key} = '{MOVED}'"));
        }
        self.number(&sql, [begin.into()]).await
    }

    /// How many data keys there are.
    ///
    /// # Errors
    /// The database.
    pub async fn data_keys(&self) -> Result<DataKeys, StoreError> {
        let count = |retired: bool| {
            let state = org_key::Column::RetiredAt;
            let only = if retired {
                state.is_not_null()
            } else {
                state.is_null()
            };
            org_key::Entity::find().filter(only).count(self.db())
        };
        Ok(DataKeys {
            current: count(false).await?,
            retired: count(true).await?,
        })
    }

    /// The ids of the keyring's keys that data keys are wrapped with.
    ///
    /// # Errors
    /// The database.
    pub async fn wrapping_keys_in_use(&self) -> Result<Vec<String>, StoreError> {
        // From one id to the next on the index: there are few of them and many rows.
        const SQL: &str = "
            with recursive used as (
                select min(wrapped_by) as id from org_keys
                union all
                select (select min(wrapped_by) from org_keys where wrapped_by > used.id) from used where used.id is not null
            )
            select id from used where id is not null";
        let rows = self.all_rows(SQL, []).await?;
        rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
    }
}
