//! The statements of the re-encryption: give every org a new data key and move its
//! secrets over. Each batch is a transaction of its own, so a pass that dies is taken up
//! where its last batch ended.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbBackend, QueryResult, Value};
use uuid::Uuid;

use super::{locked, marks, org_keys_of, rows, run, uuid, uuids};
use crate::{
    entities::org_key,
    ids::{OrgId, OrgKeyId},
    store::{Store, StoreError},
    vault::{
        cipher::header,
        columns::{ENCRYPTED, EncryptedColumn, MOVED, Under},
    },
};

/// A pass over all orgs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reencryption {
    /// Its id; the data keys it made carry it.
    pub id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Values moved to a new key so far.
    pub rows_done: u64,
}

/// An encrypted value to be moved to another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Whose.
    pub org: OrgId,
    /// What names its row in the place.
    pub row: Vec<Uuid>,
    /// The value.
    pub sealed: Vec<u8>,
}

/// One compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The row's primary key.
    pub id: Uuid,
    /// What must stand there.
    pub old: Vec<u8>,
    /// What replaces it.
    pub new: Vec<u8>,
}

/// A data key's id as blobs begin with it.
fn header_of(key: OrgKeyId) -> Vec<u8> {
    header(&key.to_string())
}

impl Store {
    /// The pass that is not finished, if there is one.
    ///
    /// # Errors
    /// The database.
    pub async fn open_reencryption(&self) -> Result<Option<Reencryption>, StoreError> {
        const SQL: &str = "select id, started_at, rows_done from reencryptions where open";
        let row = self.one_row(SQL, []).await?;
        row.map(|row| {
            let rows_done: i64 = row.try_get("", "rows_done")?;
            Ok(Reencryption {
                id: uuid(&row, "id")?,
                started_at: row.try_get("", "started_at")?,
                rows_done: u64::try_from(rows_done).unwrap_or(0),
            })
        })
        .transpose()
    }

    /// Begins a pass, unless one is open.
    ///
    /// # Errors
    /// The database.
    pub async fn begin_reencryption(&self) -> Result<(), StoreError> {
        const SQL: &str = "insert into reencryptions (id, open, started_at) values ($1, $2, $3) on conflict do nothing";
        let id = OrgKeyId::new(self.clock()).0;
        let values = [id.into(), true.into(), self.clock().now().into()];
        run(self.db(), SQL, values).await?;
        Ok(())
    }

    /// Ends a pass.
    ///
    /// # Errors
    /// The database.
    pub async fn finish_reencryption(&self, pass: Uuid) -> Result<(), StoreError> {
        const SQL: &str =
            "update reencryptions set open = null, finished_at = $2 where id = $1 and open";
        run(self.db(), SQL, [pass.into(), self.clock().now().into()]).await?;
        Ok(())
    }

    /// Current data keys that this pass has not made, of the next orgs; held.
    ///
    /// # Errors
    /// The database.
    pub async fn keys_to_replace(
        &self,
        tx: &DatabaseTransaction,
        pass: Uuid,
        after: OrgId,
        limit: u64,
    ) -> Result<Vec<org_key::Model>, StoreError> {
        let sql = format!(
            "select * from org_keys where retired_at is null and org_id > $1 and (made_by is null or made_by <> $2) \
             order by org_id limit {limit} {}",
            locked(self.db().get_database_backend(), "for no key update")
        );
        org_keys_of(&rows(tx, &sql, [after.into(), pass.into()]).await?)
    }

    /// Retires data keys and puts new ones in their places.
    ///
    /// # Errors
    /// The database.
    pub async fn replace_keys(
        &self,
        tx: &DatabaseTransaction,
        old: &[OrgKeyId],
        new: Vec<org_key::Model>,
    ) -> Result<(), StoreError> {
        use sea_orm::EntityTrait;
        let sql = format!(
            "update org_keys set retired_at = $1 where id in ({}) and retired_at is null",
            marks(2, old.len())
        );
        let mut values: Vec<Value> = vec![self.clock().now().into()];
        values.extend(uuids(old));
        run(tx, &sql, values).await?;
        let new = new.into_iter().map(org_key::ActiveModel::from);
        org_key::Entity::insert_many(new)
            .exec_without_returning(tx)
            .await?;
        Ok(())
    }

    /// Retired data keys in order of their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn retired_keys(
        &self,
        after: OrgKeyId,
        limit: u64,
    ) -> Result<Vec<org_key::Model>, StoreError> {
        let sql = format!(
            "select * from org_keys where retired_at is not null and id > $1 order by id limit {limit}"
        );
        org_keys_of(&self.all_rows(&sql, [after.into()]).await?)
    }

    /// The first and the last retired data key: what is closed under one of them lies
    /// between what begins with the one and what begins with the other.
    ///
    /// # Errors
    /// The database.
    pub async fn retired_range(&self) -> Result<Option<(OrgKeyId, OrgKeyId)>, StoreError> {
        let end = |order: &str| {
            format!(
                "select id from org_keys where retired_at is not null order by id {order} limit 1"
            )
        };
        let id = |row: Option<QueryResult>| row.map(|row| row.try_get("", "id")).transpose();
        let first: Option<OrgKeyId> = id(self.one_row(&end("asc"), []).await?)?;
        let last: Option<OrgKeyId> = id(self.one_row(&end("desc"), []).await?)?;
        Ok(first.zip(last))
    }

    /// Those of these data keys that are retired.
    ///
    /// # Errors
    /// The database.
    pub async fn retired_among(
        &self,
        keys: &[OrgKeyId],
    ) -> Result<Vec<org_key::Model>, StoreError> {
        let sql = format!(
            "select * from org_keys where id in ({}) and retired_at is not null",
            marks(1, keys.len())
        );
        org_keys_of(&self.all_rows(&sql, uuids(keys)).await?)
    }

    /// The current data keys of these orgs.
    ///
    /// # Errors
    /// The database.
    pub async fn current_keys(&self, orgs: &[OrgId]) -> Result<Vec<org_key::Model>, StoreError> {
        let sql = format!(
            "select * from org_keys where org_id in ({}) and retired_at is null",
            marks(1, orgs.len())
        );
        let values: Vec<Value> = orgs.iter().map(|org| Value::from(org.0)).collect();
        org_keys_of(&self.all_rows(&sql, values).await?)
    }

    /// How many values of a column lie in the range of these data keys.
    ///
    /// # Errors
    /// The database.
    pub async fn rows_in_range(
        &self,
        column: &EncryptedColumn,
        (first, last): (OrgKeyId, OrgKeyId),
    ) -> Result<u64, StoreError> {
        let sql = format!(
            "select count(*) as n from {} where {begin} >= $1 and {begin} <= $2",
            column.table,
            begin = begin(column)
        );
        self.number(&sql, [header_of(first).into(), header_of(last).into()])
            .await
    }

    /// The next values of a column in the range of these data keys, in the order of what
    /// they begin with: what has been moved away is not met again.
    ///
    /// # Errors
    /// The database.
    pub async fn next_in_range(
        &self,
        column: &EncryptedColumn,
        after: &(Vec<u8>, Uuid),
        last: OrgKeyId,
        limit: u64,
    ) -> Result<Vec<SealedRow>, StoreError> {
        let names: Vec<String> = (0..)
            .zip(column.row)
            .map(|(at, name)| format!("{name} as row_{at}"))
            .collect();
        let sql = format!(
            "select org_id, {}, {} as sealed from {} \
             where ({begin}, id) > ($1, $2) and {begin} >= $1 and {begin} <= $3 order by {begin}, id limit {limit}",
            names.join(", "),
            column.column,
            column.table,
            begin = begin(column)
        );
        let values: [Value; 3] = [
            after.0.clone().into(),
            after.1.into(),
            header_of(last).into(),
        ];
        let rows = self.all_rows(&sql, values).await?;
        rows.iter()
            .map(|row| {
                let named = (0..column.row.len()).map(|at| uuid(row, &format!("row_{at}")));
                Ok(SealedRow {
                    org: row.try_get("", "org_id")?,
                    row: named.collect::<Result<_, StoreError>>()?,
                    sealed: row.try_get("", "sealed")?,
                })
            })
            .collect()
    }

    /// Where a walk over the range of these data keys begins.
    #[must_use]
    pub fn range_start(first: OrgKeyId) -> (Vec<u8>, Uuid) {
        (header_of(first), Uuid::nil())
    }

    /// Replaces values that are still what they were. What somebody else writes at this
    /// moment is passed over: the next round sees what came of it.
    ///
    /// # Errors
    /// The database.
    pub async fn swap(
        &self,
        tx: &DatabaseTransaction,
        column: &EncryptedColumn,
        swaps: &[Swap],
    ) -> Result<u64, StoreError> {
        let EncryptedColumn { table, column, .. } = column;
        if self.db().get_database_backend() == DbBackend::Sqlite {
            let sql = format!("update {table} set {column} = $3 where id = $1 and {column} = $2");
            let mut done = 0;
            for Swap { id, old, new } in swaps {
                let values: [Value; 3] = [(*id).into(), old.clone().into(), new.clone().into()];
                done += run(tx, &sql, values).await?;
            }
            return Ok(done);
        }
        let sql = format!(
            "with swap as materialized (select * from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as swap (id, old, new)),
             free as materialized (
                 select id from {table} where id = any($1) order by id for no key update skip locked
             )
             update {table} set {column} = swap.new from swap
             where {table}.id = swap.id and {table}.id = any(array(select id from free)) and {table}.{column} = swap.old"
        );
        let ids: Vec<Uuid> = swaps.iter().map(|swap| swap.id).collect();
        let old: Vec<Vec<u8>> = swaps.iter().map(|swap| swap.old.clone()).collect();
        let new: Vec<Vec<u8>> = swaps.iter().map(|swap| swap.new.clone()).collect();
        run(tx, &sql, [ids.into(), old.into(), new.into()]).await
    }

    /// Adds to what a pass has done.
    ///
    /// # Errors
    /// The database.
    pub async fn note_reencrypted(
        &self,
        tx: &DatabaseTransaction,
        pass: Uuid,
        rows: u64,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update reencryptions set rows_done = rows_done + $2 where id = $1";
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        run(tx, SQL, [pass.into(), rows.into()]).await?;
        Ok(())
    }

    /// Deletes those of these retired data keys that nothing uses.
    ///
    /// Two statements: the first waits for transactions that close something under one of
    /// the keys, so the second sees what they wrote.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_unused(&self, keys: &[OrgKeyId]) -> Result<u64, StoreError> {
        let tx = self.begin().await?;
        let sql = format!(
            "select id from org_keys where id in ({}) and retired_at is not null order by id {}",
            marks(1, keys.len()),
            locked(self.db().get_database_backend(), "for update")
        );
        let held = rows(&tx, &sql, uuids(keys)).await?;
        let mut unused: Vec<OrgKeyId> = held
            .iter()
            .map(|row| Ok(row.try_get("", "id")?))
            .collect::<Result<_, StoreError>>()?;
        for column in ENCRYPTED {
            if unused.is_empty() {
                break;
            }
            let only = match column.under {
                Under::DataKey => String::new(),
                Under::MovedDataKey { key } => format!("{key} = '{MOVED}' and "),
                Under::KeyringKey | Under::SealingKey { .. } => continue,
            };
            let sql = format!(
                "select distinct {begin} as begin_of from {} where {only}{begin} in ({})",
                column.table,
                marks(1, unused.len()),
                begin = begin(column)
            );
            let headers = unused.iter().map(|key| Value::from(header_of(*key)));
            let mut found = Vec::new();
            for row in rows(&tx, &sql, headers).await? {
                found.push(row.try_get::<Vec<u8>>("", "begin_of")?);
            }
            unused.retain(|key| !found.contains(&header_of(*key)));
        }
        let deleted = if unused.is_empty() {
            0
        } else {
            let sql = format!(
                "delete from org_keys where id in ({})",
                marks(1, unused.len())
            );
            run(&tx, &sql, uuids(&unused)).await?
        };
        tx.commit().await?;
        Ok(deleted)
    }
}

/// What blobs of the column begin with, exactly as in the column's index.
fn begin(column: &EncryptedColumn) -> String {
    format!("substr({}, 1, 39)", column.column)
}
