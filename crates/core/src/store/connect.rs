//! Opens the database pool with the settings that the job protocol relies on. It
//! must not run migrations: that is a command of its own.

use std::time::Duration;

use sea_orm::{ConnectOptions as PoolOptions, Database, DatabaseConnection, DbErr};
use url::Url;

/// How long a transaction may sit idle before PostgreSQL ends it: a stopped process
/// cannot hold a fenced row longer (DESIGN section 5, step 5).
const IDLE_IN_TRANSACTION: &str = "4s";

/// How long a write waits for the one other writer of a SQLite file.
const SQLITE_BUSY: Duration = Duration::from_secs(5);

/// How long a caller waits for a free connection of the pool, and for the server to answer.
const ACQUIRE: Duration = Duration::from_secs(10);

/// What a process asks of its pool.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Connections at most. SQLite has one writer at a time; the others read meanwhile.
    pub max_connections: u32,
    /// Shown in `pg_stat_activity`: `patchbay-worker`.
    pub application_name: String,
}

/// The database cannot be used. Says which setting to look at; never shows a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The setting is no address of a database that Patchbay runs on.
    #[error(
        "database_url: `{url}` is no address of a database; expected \
         postgres://user:password@host:5432/name or sqlite:///path/to/file.db"
    )]
    NotAnAddress {
        /// The setting, password masked.
        url: String,
    },
    /// An in-memory database: every connection of the pool would see another one.
    #[error("database_url: `{url}` keeps nothing and is not shared between connections; name a file")]
    InMemory {
        /// The setting.
        url: String,
    },
    /// It does not answer, or refuses.
    #[error("database_url: cannot open `{url}`: {source}; is the server running, and do user and password fit?")]
    Unreachable {
        /// The setting, password masked.
        url: String,
        /// What the driver said.
        source: DbErr,
    },
}

/// Opens a pool on PostgreSQL (`postgres://`) or on a SQLite file (`sqlite://`), which
/// is made if it is not there.
///
/// # Errors
/// The address is wrong, or the database does not answer within ten seconds.
pub async fn connect(url: &str, options: ConnectOptions) -> Result<DatabaseConnection, ConnectError> {
    let mut pool = PoolOptions::new(url);
    pool.max_connections(options.max_connections.max(1))
        .acquire_timeout(ACQUIRE)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        // A ping before every statement would double the round trips.
        .test_before_acquire_if_idle_for(Duration::from_secs(5));
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => on_postgres(&mut pool, options.application_name),
        Some("sqlite") if url.contains(":memory:") || url.contains("mode=memory") => {
            return Err(ConnectError::InMemory { url: masked(url) });
        }
        Some("sqlite") => on_sqlite(&mut pool),
        _ => return Err(ConnectError::NotAnAddress { url: masked(url) }),
    }
    match Database::connect(pool).await {
        Ok(db) => Ok(db),
        Err(DbErr::Conn(_)) if is_unreadable(url) => Err(ConnectError::NotAnAddress { url: masked(url) }),
        Err(source) => Err(ConnectError::Unreachable { url: masked(url), source }),
    }
}

/// `jit = off`: the planner cannot know how few rows a skip scan touches, and would now
/// and then compile for 100 ms what runs for one. `enable_seqscan = off`: a plan made
/// while a table was small is kept until statistics are renewed, a minute later; in that
/// minute a burst of 100,000 jobs would be read from end to end for every claim. Tables
/// without a fitting index are still scanned.
fn on_postgres(pool: &mut PoolOptions, application_name: String) {
    pool.set_application_name(application_name).map_sqlx_postgres_opts(|options| {
        options.options([
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
            ("jit", "off"),
            ("enable_seqscan", "off"),
        ])
    });
}

/// WAL, so that readers and the writer do not wait for each other. `synchronous = FULL`:
/// `NORMAL` survives a killed process but loses the last commits with the power, and
/// what was acknowledged must not be lost; the price is one fsync a commit.
fn on_sqlite(pool: &mut PoolOptions) {
    use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
    pool.idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_opts(|options| {
        options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(SQLITE_BUSY)
            .foreign_keys(true)
    });
}

fn is_unreadable(url: &str) -> bool {
    url.starts_with("postgres") && Url::parse(url).is_err()
}

/// The address without its password. A text that cannot be parsed may hide one
/// anywhere, so only its scheme is shown.
fn masked(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) => {
            if parsed.password().is_some() && parsed.set_password(Some("****")).is_err() {
                return "(address not shown)".into();
            }
            // `?password=` is another way to give it.
            if parsed.query_pairs().any(|(name, _)| name == "password") {
                parsed.set_query(None);
            }
            parsed.to_string()
        }
        Err(_) => match url.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://..."),
            None => "(address not shown)".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ConnectOptions {
        ConnectOptions { max_connections: 1, application_name: "test".into() }
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named_without_its_password() {
        let error = connect("postgres://me:hunter2@127.0.0.1:1/db", options()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("database_url: cannot open `postgres://me:****@127.0.0.1:1/db`"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn another_kind_of_database_is_refused_with_what_is_allowed() {
        let error = connect("mysql://me:hunter2@localhost/db", options()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("expected postgres://"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn an_in_memory_database_is_refused() {
        let error = connect("sqlite::memory:", options()).await.unwrap_err();
        assert!(matches!(error, ConnectError::InMemory { .. }), "{error}");
    }

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        assert_eq!(masked("postgres://h/db?user=a&password=hunter2"), "postgres://h/db");
        assert_eq!(masked("postgres://a:hun ter2@h:x/db"), "postgres://...");
        assert_eq!(masked("hunter2"), "(address not shown)");
        assert_eq!(masked("sqlite:///var/lib/patchbay/data.db"), "sqlite:///var/lib/patchbay/data.db");
    }
}
