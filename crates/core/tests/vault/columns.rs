//! The list of encrypted columns is the whole list.

use std::collections::BTreeSet;

use patchbay_core::vault::columns::{ENCRYPTED, PLAIN, Under};
use sea_orm::{ConnectionTrait, Statement};

use crate::{on_both, stage::Stage};

on_both!(every_listed_column_is_there_with_the_columns_that_name_its_row);

async fn columns(stage: &Stage, sql: &str) -> BTreeSet<(String, String)> {
    let db = stage.store.db();
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            (
                row.try_get("", "table_name").unwrap(),
                row.try_get("", "column_name").unwrap(),
            )
        })
        .collect()
}

/// On PostgreSQL, where bytes have a type of their own: on SQLite ids are bytes too.
#[tokio::test]
async fn every_column_of_bytes_is_listed_as_encrypted_or_as_plain() {
    let stage = Stage::postgres().await;
    let there = columns(
        &stage,
        "select table_name::text, column_name::text from information_schema.columns \
         where table_schema = 'public' and data_type = 'bytea'",
    )
    .await;
    let encrypted = ENCRYPTED.map(|it| (it.table.to_owned(), it.column.to_owned()));
    let plain = PLAIN
        .iter()
        .map(|(table, column)| ((*table).to_owned(), (*column).to_owned()));
    let listed: BTreeSet<_> = encrypted.into_iter().chain(plain).collect();
    let unlisted: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "crates/core/src/vault/columns.rs must list each column of bytes as encrypted or as plain; \
         not listed: {unlisted:?}; listed but not there: {gone:?}"
    );
}

async fn every_listed_column_is_there_with_the_columns_that_name_its_row(stage: Stage) {
    for column in ENCRYPTED {
        let key = match column.under {
            Under::SealingKey { key, .. } | Under::MovedDataKey { key } => vec![key],
            Under::KeyringKey | Under::DataKey => vec![],
        };
        let names = [&[column.column, "org_id"], column.row, &key].concat();
        let sql = format!("select {} from {}", names.join(", "), column.table);
        let db = stage.store.db();
        db.execute_unprepared(&sql).await.unwrap();
        assert_eq!(column.row.last(), Some(&"id"), "{}", column.name());
    }
}
