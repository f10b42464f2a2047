//! Consents (OAuth), the clients they are asked for with, and the life of a granted
//! credential: when it ends, who refreshes it at this moment.

use sea_orm_migration::prelude::*;

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

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
            "grants would be lost without their refresh times: restore a backup instead".into(),
        ))
    }
}
