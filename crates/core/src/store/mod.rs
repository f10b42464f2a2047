//! Every query of the product. One file per noun; nothing outside this folder
//! writes SQL. Times are the database's on PostgreSQL and the `Clock`'s on SQLite.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use crate::clock::Clock;

pub mod alerts;
pub mod api_keys;
pub mod breakers;
pub mod connect;
pub mod connections;
pub mod consents;
pub mod credentials;
pub mod dead;
#[cfg(debug_assertions)]
mod drills;
pub mod duties;
pub mod events;
mod fault;
pub mod health;
pub mod idempotency;
pub mod job_reads;
pub mod jobs;
pub mod keys;
pub mod oauth_clients;
pub mod orgs;
pub mod overview;
pub mod quotas;
pub mod records;
pub mod retention;
pub mod retry_policy;
pub mod schedules;
pub mod streams;

/// Why a query came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or was not there.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// A stored value does not have the shape it was written with.
    #[error("stored value of {what} cannot be read: {why}")]
    Unreadable {
        /// Which column.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl From<sea_orm::TryGetError> for StoreError {
    fn from(error: sea_orm::TryGetError) -> Self {
        Self::Database(error.into())
    }
}

/// The database, its dialect's job statements, and the clock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: DatabaseConnection,
    clock: Arc<dyn Clock>,
    jobs: Arc<dyn jobs::JobStore>,
}

impl Store {
    /// Wraps an open connection pool; picks the job statements of its dialect.
    #[must_use]
    pub fn new(db: DatabaseConnection, clock: Arc<dyn Clock>) -> Self {
        let jobs = jobs::of(&db, &clock);
        Self { db, clock, jobs }
    }

    /// Whether one process owns the database: a SQLite file behind the lock on its folder.
    #[must_use]
    pub fn is_one_process(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Sqlite
    }

    /// The pool, for reads outside a transaction.
    #[must_use]
    pub fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// The clock that ids and SQLite times come from.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The job protocol.
    #[must_use]
    pub fn jobs(&self) -> &dyn jobs::JobStore {
        &*self.jobs
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at
    /// once (`BEGIN IMMEDIATE`), so that it cannot fail half-way for a reader's snapshot.
    ///
    /// # Errors
    /// The database is not there, or SQLite's busy timeout passed.
    pub async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        begin(&self.db).await
    }
}

/// Begins a transaction that may write, on either database.
pub(crate) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: match db.get_database_backend() {
            DbBackend::Sqlite => Some(SqliteTransactionMode::Immediate),
            _ => None,
        },
        ..TransactionOptions::default()
    };
    Ok(db.begin_with_options(options).await?)
}
