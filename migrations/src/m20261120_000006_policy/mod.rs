//! Retry policies of orgs, groups of dead jobs, and the circuit breakers that workers share.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

// The derived name would be that of the file: `mod`, for each of them.
impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261120_000006_policy"
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
            "the organizations' policies would be lost: restore a backup instead".into(),
        ))
    }
}
