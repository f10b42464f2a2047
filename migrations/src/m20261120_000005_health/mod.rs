//! Health checks by the clock: when each connection is due, what its checks came to, and
//! the numbers over hours and days.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

// The derived name would be that of the file: `mod`, for each of them.
impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261120_000005_health"
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
            "what checks came to would be lost: restore a backup instead".into(),
        ))
    }
}
