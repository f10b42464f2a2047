//! Messages on alerts that a quiet period held back, so that they can be told when it is over.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

// The derived name would be that of the file: `mod`, for each of them.
impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261120_000013_withheld_alerts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run_sql(
            manager,
            include_str!("postgres.sql"),
            include_str!("sqlite.sql"),
        )
        .await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration(
            "messages that wait would be forgotten: restore a backup instead".into(),
        ))
    }
}
