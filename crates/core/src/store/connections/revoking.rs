//! The end of a credential: emptied here, revoked at the provider by a job.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, DatabaseTransaction};
use serde_json::json;

use crate::{
    connection::{ConnectionStatus, CredentialOrigin, Health},
    entities::{connection, job},
    events::EventKind,
    ids::JobId,
    job::{Enqueued, JobKind, NewJob, Queue, SealedArgs},
    job_args::CredentialRevokeArgs,
    store::{Store, StoreError, events::NewEvent},
    vault::columns::MOVED,
};

/// A provider that is down for an hour does not keep a grant alive.
const TRIES: i32 = 12;
const TIMEOUT: Duration = Duration::from_secs(120);

impl Store {
    /// Empties the credential in force. What was granted by a consent is also revoked at the
    /// provider: the ciphertext moves into the arguments of a job, in the caller's
    /// transaction. Nobody here can open it. The caller holds the connection.
    ///
    /// # Errors
    /// The database.
    pub async fn end_credential(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        actor: &str,
    ) -> Result<Option<job::Model>, StoreError> {
        let Some(current) = self.current_credential(tx, row.org_id, row.id).await? else {
            return Ok(None);
        };
        self.revoke_credential(tx, row.org_id, row.id, actor)
            .await?;
        let (CredentialOrigin::Consent, Some(sealed)) = (current.origin, current.sealed) else {
            return Ok(None);
        };
        let args = CredentialRevokeArgs {
            connection: row.id,
            credential: current.id,
            provider: row.provider.clone(),
            config: row.config.clone(),
            client_id: current.client_id.unwrap_or_default(),
            account_key: row.account_key.clone(),
        };
        let job = NewJob {
            // No connection: parking and cancelling its work must not hold up a revocation.
            connection: None,
            args: serde_json::to_value(args).map_err(|error| StoreError::Unreadable {
                what: "arguments of a revocation",
                why: error.to_string(),
            })?,
            sealed: Some(SealedArgs {
                bytes: sealed,
                key_id: MOVED.into(),
            }),
            max_attempts: TRIES,
            timeout: TIMEOUT,
            ..NewJob::new(
                Some(row.org_id),
                JobKind::CredentialRevoke,
                Queue::Maintenance,
                actor,
            )
        };
        let enqueued = self.jobs().enqueue(tx, vec![job]).await?;
        Ok(enqueued.into_iter().next().map(Enqueued::into_job))
    }

    /// A person withdraws the credential and keeps the connection: its work is parked until
    /// there is a new one. The caller holds the row. Returns the revocation's job and the
    /// parked ones.
    ///
    /// # Errors
    /// The database.
    pub async fn withdraw_credential(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        by_consent: bool,
        actor: &str,
    ) -> Result<(Option<job::Model>, Vec<JobId>), StoreError> {
        let revocation = self.end_credential(tx, row, actor).await?;
        let status = match row.status {
            ConnectionStatus::Disabled | ConnectionStatus::Disconnected => row.status,
            ConnectionStatus::Pending
            | ConnectionStatus::Active
            | ConnectionStatus::Error
            | ConnectionStatus::Expired => {
                if by_consent {
                    ConnectionStatus::Expired
                } else {
                    ConnectionStatus::Error
                }
            }
        };
        let change = connection::ActiveModel {
            status: Set(status),
            health: Set(Health::Unknown),
            // There is no grant any more that could lack something.
            capabilities_refused: Set(json!({})),
            ..Default::default()
        };
        self.update_connection(tx, row, change).await?;
        let parked = self.jobs().park_queued(tx, row.id).await?;
        let event = NewEvent::new(row.org_id, EventKind::ConnectionRevoked, actor)
            .connection(row.id)
            .data(json!({ "parked_jobs": parked.len() }));
        self.record_event(tx, event).await?;
        Ok((revocation, parked))
    }
}
