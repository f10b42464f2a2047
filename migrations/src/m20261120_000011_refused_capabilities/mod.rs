//! What accounts refused when they were asked for it, so that lists and counts can tell of it.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

// The derived name would be that of the file: `mod`, for each of them.
impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261120_000011_refused_capabilities"
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
            "what accounts refused would be forgotten: restore a backup instead".into(),
        ))
    }
}
