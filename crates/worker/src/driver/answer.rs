//! Statements of the driver are answered in time or given up: where a database vanishes
//! without a word (a pulled cable, a failover), TCP alone gives up a quarter of an hour later.

use std::time::Duration;

use patchbay_core::store::StoreError;

/// As long as a caller waits for a connection of the pool; a statement takes milliseconds.
const WITHIN: Duration = Duration::from_secs(10);

/// Why a statement came to nothing, or may have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatementError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It may have been done all the same. What was claimed so goes back to the queue with
    /// a renewal of the lease, which names what this process knows that it holds.
    #[error("the database did not answer within {} s", WITHIN.as_secs())]
    Unanswered,
}

impl StatementError {
    /// Whether the same statement may succeed in a moment.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Unanswered => true,
        }
    }
}

/// The statement's answer, if it comes in time.
pub(crate) async fn answered<T>(
    statement: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StatementError> {
    match tokio::time::timeout(WITHIN, statement).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StatementError::Unanswered),
    }
}
