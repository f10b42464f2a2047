//! Rotation of keys: several data keys per org, what each process holds, passes.

use sea_orm_migration::prelude::*;

#[derive(Debug)]
pub(crate) struct Migration;

// The derived name would be that of the file: `mod`, for each of them.
impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261120_000003_keys"
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
            "an org may have several data keys by now, which the tables before cannot hold: restore a backup instead"
                .into(),
        ))
    }
}
