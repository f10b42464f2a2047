//! What a failed query means for the one who asked: whether it may work in a
//! moment, and what becomes of a job whose body ran into it.

use sea_orm::{DbErr, RuntimeErr, sqlx};

use super::StoreError;
use crate::{
    failure::{Failure, FailureKind},
    job::{JobError, Next},
};

impl StoreError {
    /// Whether the same query may succeed in a moment: the database is away, full,
    /// locked, or chose this transaction to break a deadlock.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) => true,
            Self::Database(
                DbErr::Exec(RuntimeErr::SqlxError(error))
                | DbErr::Query(RuntimeErr::SqlxError(error)),
            ) => driver_error_is_transient(error),
            Self::Database(_) | Self::Unreadable { .. } => false,
        }
    }
}

impl StoreError {
    /// Whether a row that must be the only one of its key met another: of jobs, the same work
    /// was asked for in between.
    #[must_use]
    pub fn is_a_twin(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        matches!(
            error.sql_err(),
            Some(sea_orm::SqlErr::UniqueConstraintViolation(_))
        )
    }
}

fn driver_error_is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => {
            database.code().is_some_and(|code| code_is_transient(&code))
        }
        _ => false,
    }
}

/// SQLSTATE classes 08 connection, 40 rollback (deadlock, serialization), 53 resources, 57
/// operator (shutdown, restart), 58 the server's files; 25006 read-only (a standby during a
/// failover), 25P03 idle in a transaction (a process that was paused), 55P03 lock not available
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>). On SQLite the primary
/// codes 5 BUSY, 6 LOCKED, 8 READONLY, 10 IOERR, 13 FULL and 14 CANTOPEN
/// (<https://www.sqlite.org/rescode.html>).
fn code_is_transient(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
            || matches!(code, "25006" | "25P03" | "55P03");
    }
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}

/// A body whose own query failed: an outage of the database burns no attempt, because
/// nothing can be settled before it is over; anything else is a fault on our side.
impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        let next = if error.is_transient() {
            Next::Release
        } else {
            Next::Retry { after: None }
        };
        let failure = Failure::new(
            FailureKind::Internal,
            error.to_string(),
            "Nothing to do if it passes; else look at the database.",
        );
        Self { next, failure }
    }
}

impl From<DbErr> for JobError {
    fn from(error: DbErr) -> Self {
        StoreError::from(error).into()
    }
}
