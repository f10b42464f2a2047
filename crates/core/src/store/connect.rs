//! Opens the database pool with the settings that the job protocol relies on. It
//! must not run migrations: that is a command of its own.

use std::{path::Path, time::Duration};

use futures::FutureExt;
use sea_orm::{
    ConnectOptions as PoolOptions, Database, DatabaseConnection, DbErr,
    sqlx::{
        self, Connection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::time::timeout;
use url::Url;

/// How long a write waits for the one other writer of a SQLite file.
const SQLITE_BUSY: Duration = Duration::from_secs(5);

/// How long a caller waits for a free connection of the pool, and for the server to answer.
const ACQUIRE: Duration = Duration::from_secs(10);

/// A session idle for this long is asked for a sign of life before it is used: a ping
/// before every statement would double the round trips.
const TEST_IF_IDLE: Duration = Duration::from_secs(5);

/// A session that owes an answer for this long is dead. The driver itself would wait for
/// TCP to give up, a quarter of an hour, and its place in the pool with it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
const END_OF_STATEMENT: Duration = Duration::from_secs(5);

/// Settings of every PostgreSQL session. The job statements rely on them.
///
/// - `idle_in_transaction_session_timeout`: a stopped process cannot hold a fenced row
///   longer than this (docs/job-states.md, step 5).
/// - `jit = off`: the planner cannot know how few rows a skip scan touches, and would now
///   and then compile for 100 ms what runs for one.
/// - `enable_seqscan`, `enable_bitmapscan = off`: a plan made while a table was small is
///   kept until statistics are renewed, a minute later; in that minute a burst of 100,000
///   jobs would be read, or sorted, from end to end for every claim (measured: 20 s instead
///   of 17 ms). Tables without a fitting index are still scanned.
pub const POSTGRES_SESSION: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "4s"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
];

/// What a process asks of its pool.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Connections at most. SQLite has one writer at a time; the others read meanwhile.
    pub max_connections: u32,
    /// Shown in `pg_stat_activity`: `patchbay worker`.
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
    #[error(
        "database_url: `{url}` keeps nothing and is not shared between connections; name a file"
    )]
    InMemory {
        /// The setting.
        url: String,
    },
    /// The file is no database, or cannot be read or written.
    #[error(
        "the database file {path} does not open: {source}. Look at its owner and mode and at the room on the disk; \
         if it is damaged, restore it from a backup"
    )]
    File {
        /// Which file.
        path: String,
        /// What the driver said.
        source: DbErr,
    },
    /// It does not answer, or refuses.
    #[error(
        "database_url: cannot open `{url}`: {source}; is the server running, and do user and password fit?"
    )]
    Unreachable {
        /// The setting, password masked.
        url: String,
        /// What the driver said.
        source: DbErr,
    },
}

/// Opens a pool on PostgreSQL (`postgres://`) or on a SQLite file (`sqlite://`).
///
/// # Errors
/// The address is wrong, or the database does not answer within ten seconds.
pub async fn connect(
    url: &str,
    options: ConnectOptions,
) -> Result<DatabaseConnection, ConnectError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => postgres(url, options).await,
        Some(("sqlite", _)) if url.contains(":memory:") || url.contains("mode=memory") => {
            Err(ConnectError::InMemory { url: masked(url) })
        }
        Some(("sqlite", _)) => match url.parse::<SqliteConnectOptions>() {
            Ok(parsed) => sqlite(parsed.get_filename(), options).await,
            Err(_) => Err(ConnectError::NotAnAddress { url: masked(url) }),
        },
        _ => Err(ConnectError::NotAnAddress { url: masked(url) }),
    }
}

/// Opens a pool on PostgreSQL.
///
/// # Errors
/// The address is wrong, or the server does not answer within ten seconds.
pub async fn postgres(
    url: &str,
    options: ConnectOptions,
) -> Result<DatabaseConnection, ConnectError> {
    let mut pool = pool_options(url, &options);
    pool.set_application_name(options.application_name)
        .map_sqlx_postgres_opts(|session| session.options(POSTGRES_SESSION))
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.before_acquire(|session, meta| {
                async move {
                    if meta.idle_for < TEST_IF_IDLE {
                        return Ok(true);
                    }
                    answers(SIGN_OF_LIFE, session.ping()).await
                }
                .boxed()
            })
            // Nothing to wait for, unless a statement was given up before its answer.
            .after_release(|session, _| answers(END_OF_STATEMENT, session.flush()).boxed())
        });
    match Database::connect(pool).await {
        Ok(db) => Ok(db),
        Err(_) if Url::parse(url).is_err() => Err(ConnectError::NotAnAddress { url: masked(url) }),
        Err(source) => Err(ConnectError::Unreachable {
            url: masked(url),
            source,
        }),
    }
}

async fn answers(
    within: Duration,
    answer: impl Future<Output = Result<(), sqlx::Error>> + Send,
) -> Result<bool, sqlx::Error> {
    match timeout(within, answer).await {
        Ok(answer) => answer.map(|()| true),
        Err(silent) => Err(sqlx::Error::Io(silent.into())),
    }
}

/// Opens a pool on a SQLite file, which is made if it is not there.
///
/// WAL, so that readers and the writer do not wait for each other. `synchronous = FULL`:
/// `NORMAL` survives a killed process but loses the last commits with the power, and
/// what was acknowledged must not be lost; the price is one fsync a commit. Several
/// connections, so that a read beside an open transaction does not wait for itself;
/// writers take turns by `begin immediate` and this wait.
///
/// # Errors
/// The file cannot be made or opened, or is no database.
pub async fn sqlite(
    path: &Path,
    options: ConnectOptions,
) -> Result<DatabaseConnection, ConnectError> {
    // The address is replaced by the path below, which may hold any character.
    let mut pool = pool_options("sqlite::memory:", &options);
    let file = path.to_owned();
    pool.idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_opts(move |session| {
            session
                .filename(&file)
                .in_memory(false)
                .shared_cache(false)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(SQLITE_BUSY)
                .foreign_keys(true)
        });
    let opened = Database::connect(pool).await;
    opened.map_err(|source| ConnectError::File {
        path: path.display().to_string(),
        source,
    })
}

fn pool_options(url: &str, options: &ConnectOptions) -> PoolOptions {
    let mut pool = PoolOptions::new(url);
    pool.max_connections(options.max_connections.max(1))
        .acquire_timeout(ACQUIRE)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire_if_idle_for(TEST_IF_IDLE);
    pool
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
        ConnectOptions {
            max_connections: 1,
            application_name: "test".into(),
        }
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named_without_its_password() {
        let error = connect("postgres://me:hunter2@127.0.0.1:1/db", options())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("database_url: cannot open `postgres://me:****@127.0.0.1:1/db`"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn another_kind_of_database_is_refused_with_what_is_allowed() {
        let error = connect("mysql://me:hunter2@localhost/db", options())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("expected postgres://"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn an_in_memory_database_is_refused() {
        let error = connect("sqlite::memory:", options()).await.unwrap_err();
        assert!(matches!(error, ConnectError::InMemory { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_path_with_any_characters_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b#c?d.db");
        sqlite(&file, options()).await.unwrap();
        assert!(file.exists());
        let other = folder.path().join("a b.db");
        connect(
            &format!("sqlite://{}/a%20b.db", folder.path().display()),
            options(),
        )
        .await
        .unwrap();
        assert!(other.exists());
    }

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        assert_eq!(
            masked("postgres://h/db?user=a&password=hunter2"),
            "postgres://h/db"
        );
        assert_eq!(masked("postgres://a:hun ter2@h:x/db"), "postgres://...");
        assert_eq!(masked("hunter2"), "(address not shown)");
        assert_eq!(
            masked("sqlite:///var/lib/patchbay/data.db"),
            "sqlite:///var/lib/patchbay/data.db"
        );
    }
}
