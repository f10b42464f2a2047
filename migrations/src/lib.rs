//! Database migrations, for PostgreSQL and SQLite.
//!
//! Each migration is a folder with one SQL file per database, so that what
//! runs is what is read. Rules (expand, then contract) stand in README.md.
//! Nothing here may depend on another crate of ours.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{prelude::*, sea_orm::TransactionTrait};

mod m20261120_000001_base;
mod m20261120_000002_consent;
mod m20261120_000003_keys;
mod m20261120_000004_schedules;
mod m20261120_000005_health;
mod m20261120_000006_policy;
mod m20261120_000007_quotas;
mod m20261120_000008_alerts;
mod m20261120_000009_alert_webhooks;
mod m20261120_000010_alert_limits;
mod m20261120_000011_refused_capabilities;
mod m20261120_000012_alone;
mod m20261120_000013_withheld_alerts;

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
            Box::new(m20261120_000006_policy::Migration),
            Box::new(m20261120_000007_quotas::Migration),
            Box::new(m20261120_000008_alerts::Migration),
            Box::new(m20261120_000009_alert_webhooks::Migration),
            Box::new(m20261120_000010_alert_limits::Migration),
            Box::new(m20261120_000011_refused_capabilities::Migration),
            Box::new(m20261120_000012_alone::Migration),
            Box::new(m20261120_000013_withheld_alerts::Migration),
        ]
    }

    /// On SQLite in one transaction, and so on one connection. A connection that read the
    /// tables between two migrations would not know the columns of the second, and SQLite
    /// takes an unknown name in double quotes for a text: a row written through it would
    /// come back without them.
    async fn up<'c, C>(db: C, steps: Option<u32>) -> Result<(), DbErr>
    where
        C: IntoSchemaManagerConnection<'c>,
    {
        let db = db.into_database_executor();
        if db.get_database_backend() != sea_orm::DatabaseBackend::Sqlite {
            return Listed::up(db, steps).await;
        }
        let transaction = db.begin().await?;
        Listed::up(&transaction, steps).await?;
        transaction.commit().await
    }
}

/// The same list, applied as the library does it.
struct Listed;

#[async_trait::async_trait]
impl MigratorTrait for Listed {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Migrator::migrations()
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
