//! An open stream must not outlive the key that opened it.

use std::{future::Future, time::Duration};

use patchbay_core::store::{Store, StoreError};

use crate::access::Caller;

/// How long a stream may outlive its key.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Ends when the caller's key has been revoked.
pub async fn revoked(store: Store, caller: Caller) {
    refused(LOOK_EVERY, || async {
        let key = store.authenticate(caller.token.expose()).await?;
        Ok(key.is_some())
    })
    .await;
}

async fn refused<F>(every: Duration, mut is_valid: impl FnMut() -> F)
where
    F: Future<Output = Result<bool, StoreError>>,
{
    loop {
        tokio::time::sleep(every).await;
        // While the database is away nobody can say, and the stream has no news to give.
        if let Ok(false) = is_valid().await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_refusal_ends_it() {
        let away = StoreError::Unreadable {
            what: "test",
            why: "away".into(),
        };
        let mut answers = vec![Ok(false), Err(away), Ok(true)];
        refused(Duration::ZERO, || {
            std::future::ready(answers.pop().expect("not asked after a refusal"))
        })
        .await;
        assert!(answers.is_empty());
    }
}
