//! Database migrations, for PostgreSQL and SQLite.
//!
//! Each migration is a folder with one SQL file per database, so that what
//! runs is what is read. Rules (expand, then contract) stand in README.md.
//! Nothing here may depend on another crate of ours.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m20261120_000001_base;
mod m20261120_000002_consent;
mod m20261120_000003_keys;
mod m20261120_000004_schedules;
mod m20261120_000005_health;

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_base::Migration),
            Box::new(m20261120_000002_consent::Migration),
            Box::new(m20261120_000003_keys::Migration),
            Box::new(m20261120_000004_schedules::Migration),
            Box::new(m20261120_000005_health::Migration),
        ]
    }
}

/// Runs the SQL text that belongs to the connected database.
///
/// # Errors
/// Whatever the database says of the first statement that it refuses.
async fn run_sql(manager: &SchemaManager<'_>, postgres: &str, sqlite: &str) -> Result<(), DbErr> {
    let sql = match manager.get_database_backend() {
        sea_orm::DatabaseBackend::Postgres => postgres,
        sea_orm::DatabaseBackend::Sqlite => sqlite,
        other => {
            return Err(DbErr::Migration(format!(
                "Patchbay runs on PostgreSQL and SQLite, not on {other:?}"
            )));
        }
    };
    manager.get_connection().execute_unprepared(sql).await?;
    Ok(())
}
