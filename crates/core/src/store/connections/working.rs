//! What work with a connection did to it: it went wrong, it went well, or a credential that
//! was refused works again.

use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait};
use serde_json::json;

use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, job::Entity as Job},
    events::EventKind,
    failure::Failure,
    ids::JobId,
    job::{JobKind, JobState},
    store::{Store, StoreError, events::NewEvent},
};

impl Store {
    /// Work with the connection went wrong. `status` is set where the failure settles it
    /// (a refused credential), and the health with it. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn note_failure(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        failure: &Failure,
        status: Option<ConnectionStatus>,
    ) -> Result<connection::Model, StoreError> {
        let count = row.error_count.saturating_add(1);
        let stored = serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
            what: "connections.last_error",
            why: error.to_string(),
        })?;
        let change = connection::ActiveModel {
            status: Set(status.unwrap_or(row.status)),
            // A refusal is no matter of luck; anything else is for checks to judge.
            health: Set(if status.is_some() {
                Health::Failing
            } else {
                row.health
            }),
            error_count: Set(count),
            last_error: Set(Some(stored)),
            last_error_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        self.update_connection(tx, row, change).await
    }

    /// A run of a job of this kind ended without an answer of its body: past its deadline, by a
    /// panic, or with its process. That is a failure of work with the connection like any other,
    /// unless nothing was asked of what is in force there: a test is about its candidate, a
    /// consent about a grant that is not there yet, a revocation about one that is gone. Says
    /// whether it was counted. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn note_cut_short(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        kind: JobKind,
        failure: &Failure,
    ) -> Result<bool, StoreError> {
        let concerned = match kind {
            JobKind::HealthCheck
            | JobKind::Sync
            | JobKind::Action
            | JobKind::CredentialRefresh
            | JobKind::Noop => row.status != ConnectionStatus::Disconnected,
            // Until a first credential works, a candidate is all there is.
            JobKind::ConnectionTest => row.status == ConnectionStatus::Pending,
            JobKind::ConsentExchange
            | JobKind::CredentialRevoke
            | JobKind::HealthBatch
            | JobKind::OauthClientSet
            | JobKind::AlertWebhookSet
            | JobKind::AlertDelivery => false,
        };
        if concerned {
            self.note_failure(tx, row, failure, None).await?;
        }
        Ok(concerned)
    }

    /// A job was quarantined: its connection says why work with it stands still. In a
    /// transaction of its own after the rescue's, which holds jobs, while a connection's row
    /// comes before them (docs/job-states.md). What is lost with the process in between is this
    /// note alone: the job, its event and the alert on dead jobs stand.
    ///
    /// # Errors
    /// The database.
    pub async fn note_quarantine(&self, job: JobId) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let job = Job::find_by_id(job).one(&tx).await?;
        // A person may have sent it back to work already.
        let job = job.filter(|job| job.state == JobState::Quarantined);
        let Some((job, (org, connection))) =
            job.and_then(|job| job.org_id.zip(job.connection_id).map(|whose| (job, whose)))
        else {
            return Ok(());
        };
        let failure = job.error.and_then(|it| serde_json::from_value(it).ok());
        let held = self.lock_connection(&tx, org, connection).await?;
        if let (Some(held), Some(failure)) = (held, failure) {
            self.note_cut_short(&tx, &held, job.kind, &failure).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Work with the connection went well. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn note_success(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        synced: bool,
    ) -> Result<connection::Model, StoreError> {
        let now = self.clock().now();
        let mut change = connection::ActiveModel {
            error_count: Set(0),
            last_success_at: Set(Some(now)),
            ..Default::default()
        };
        if synced {
            change.last_synced_at = Set(Some(now));
        } else {
            change.last_checked_at = Set(Some(now));
        }
        self.update_connection(tx, row, change).await
    }

    /// The credential in force, which was refused before, works: the refusal was a passing
    /// mistake. The caller holds the row and unparks its jobs.
    ///
    /// # Errors
    /// The database.
    pub async fn restore_connection(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
    ) -> Result<connection::Model, StoreError> {
        let change = connection::ActiveModel {
            status: Set(ConnectionStatus::Active),
            health: Set(Health::Healthy),
            error_count: Set(0),
            last_success_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        let updated = self.update_connection(tx, row, change).await?;
        self.forget_outcomes(tx, row.id).await?;
        let event = NewEvent::new(row.org_id, EventKind::ConnectionActivated, "system")
            .connection(row.id)
            .data(json!({ "account": row.account_name, "by": "health_check" }));
        self.record_event(tx, event).await?;
        if let Some(why) = updated.health_reason() {
            self.tell_health(tx, row, &updated, Some(&why), "system")
                .await?;
        }
        Ok(updated)
    }
}
