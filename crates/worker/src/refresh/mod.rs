//! Keeps granted credentials alive: one refresh at a time over all processes, committed
//! before its first use.
//!
//! In a process all who want the same version share one *flight*; over processes the
//! lease on the credential's row lets one flight ask the provider while the others look at
//! the row until its version has moved. A flight is a task of its own: a job that is
//! cancelled while it waits does not take down an answer that the provider has rotated.

mod ahead;
mod counts;
mod flight;
mod scopes;
mod too_late;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use patchbay_core::{
    connection::CredentialOrigin,
    entities::{connection, credential},
    failure::{Failure, FailureKind},
    ids::{ConnectionId, CredentialId, OrgId},
    job::{JobError, Next},
    secret::SecretFields,
};

pub use ahead::due_ahead;
pub use counts::RefreshCounts;
pub(crate) use too_late::take_back;

use crate::{context::Context, jobs::opening::vault_error};

/// A token that ends sooner than this is refreshed before it is used.
const USABLE_FOR: TimeDelta = TimeDelta::seconds(60);

/// A credential that may be used now.
#[derive(Debug, Clone, PartialEq)]
pub struct Fresh {
    /// Which version.
    pub version: i64,
    /// Its fields.
    pub secret: SecretFields,
    /// When its access token ends, where that is known.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why there is no newer credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshError {
    /// There is no credential any more.
    Gone,
    /// It cannot be refreshed: no refresh token.
    NotRefreshable,
    /// The provider has refused it for good.
    Refused {
        /// What it said.
        failure: Failure,
        /// Of this version.
        version: i64,
    },
    /// Not now.
    Later {
        /// Why.
        failure: Failure,
        /// The provider asked for this pause.
        after: Option<Duration>,
    },
    /// The provider's host is left alone for now and was not asked: what to do meanwhile.
    Held(JobError),
    /// The job that waits cannot go on: settings, keyring, database.
    Job(JobError),
}

impl From<RefreshError> for JobError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Gone => Self {
                next: Next::Park {
                    credential_version: None,
                },
                failure: Failure::new(
                    FailureKind::Auth,
                    "the connection has no credential",
                    "Connect the account again; the job then goes on by itself.",
                ),
            },
            RefreshError::NotRefreshable => Self {
                next: Next::Park {
                    credential_version: None,
                },
                failure: Failure::new(
                    FailureKind::Auth,
                    "the consent has ended and cannot be renewed without a person",
                    "Connect the account again; the job then goes on by itself.",
                ),
            },
            RefreshError::Refused { failure, version } => Self {
                next: Next::Park {
                    credential_version: Some(version),
                },
                failure,
            },
            RefreshError::Later { failure, after } => Self {
                next: Next::Retry { after },
                failure,
            },
            RefreshError::Held(error) | RefreshError::Job(error) => error,
        }
    }
}

type Outcome = Result<Fresh, RefreshError>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// One for each worker process.
#[derive(Default)]
pub struct Refresher {
    flights: Mutex<HashMap<(CredentialId, i64), Flight>>,
    counts: Arc<RefreshCounts>,
}

impl std::fmt::Debug for Refresher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refresher")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Refresher {
    /// What became of refreshes in this process.
    #[must_use]
    pub fn counts(&self) -> &RefreshCounts {
        &self.counts
    }

    /// The credential of a row, opened; refreshed before if it is about to end.
    ///
    /// # Errors
    /// It has ended and there is no newer one.
    pub async fn usable(
        &self,
        ctx: &Context,
        connection: &connection::Model,
        row: &credential::Model,
    ) -> Result<Fresh, RefreshError> {
        if row.refused_at.is_some() {
            return Err(RefreshError::NotRefreshable);
        }
        let now = ctx.clock.now();
        let ends_soon = row.origin == CredentialOrigin::Consent
            && row.expires_at.is_some_and(|end| end - now < USABLE_FOR);
        if !ends_soon {
            return open(ctx, row).await;
        }
        match self.renew(ctx, connection, row.id, row.version).await {
            // What still works is used while the provider cannot renew it.
            Err(
                RefreshError::Later { .. } | RefreshError::Held(_) | RefreshError::NotRefreshable,
            ) if row.expires_at.is_some_and(|end| end > now) => open(ctx, row).await,
            other => other,
        }
    }

    /// A newer credential than `version`, which is about to end or was refused.
    ///
    /// # Errors
    /// There is none now, or there will be none.
    pub async fn renew(
        &self,
        ctx: &Context,
        connection: &connection::Model,
        credential: CredentialId,
        version: i64,
    ) -> Result<Fresh, RefreshError> {
        let key = (credential, version);
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights
                .entry(key)
                .or_insert_with(|| self.start(ctx, connection, credential, version))
                .clone()
        };
        let outcome = flight.clone().await;
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // The first to leave clears it; a flight that began meanwhile stays.
        if flights.get(&key).is_some_and(|known| known.ptr_eq(&flight)) {
            flights.remove(&key);
        }
        outcome
    }

    fn start(
        &self,
        ctx: &Context,
        connection: &connection::Model,
        credential: CredentialId,
        version: i64,
    ) -> Flight {
        let flight = flight::fly(
            ctx.clone(),
            flight::Subject {
                org: connection.org_id,
                connection: connection.id,
                provider: connection.provider.clone(),
                config: connection.config.clone(),
                credential,
                version,
            },
            Arc::clone(&self.counts),
        );
        let task = tokio::spawn(flight);
        async move {
            task.await.unwrap_or_else(|ended| {
                Err(RefreshError::Later {
                    failure: Failure::new(
                        FailureKind::Internal,
                        format!("the refresh of the credential ended early: {ended}"),
                        "Nothing to do; it is tried again. Report it if it lasts.",
                    ),
                    after: None,
                })
            })
        }
        .boxed()
        .shared()
    }
}

/// Opens what a row holds.
async fn open(ctx: &Context, row: &credential::Model) -> Outcome {
    let sealed = row.sealed.as_deref().unwrap_or_default();
    let secret = ctx
        .vault
        .open_credential(&ctx.store, row.org_id, row.connection_id, row.id, sealed)
        .await
        .map_err(|error| RefreshError::Job(vault_error(error)))?;
    Ok(Fresh {
        version: row.version,
        secret,
        expires_at: row.expires_at,
    })
}

/// The present credential of a connection, whatever its version.
async fn present(ctx: &Context, org: OrgId, connection: ConnectionId) -> Outcome {
    let row = ctx
        .store
        .current_credential(ctx.store.db(), org, connection)
        .await
        .map_err(|error| RefreshError::Job(error.into()))?
        .ok_or(RefreshError::Gone)?;
    if row.refused_at.is_some() {
        return Err(RefreshError::NotRefreshable);
    }
    open(ctx, &row).await
}
