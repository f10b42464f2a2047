//! The end of a connection: a person's disconnect, and the pruning of those that were
//! never tested with success.
//!
//! Locks, in the order of `docs/job-states.md`: the connection (by the caller), its schedules,
//! its jobs by their ids, its credential.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockType},
};
use serde_json::json;

use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, credential, job},
    events::EventKind,
    ids::JobId,
    job::JobState,
    store::{Store, StoreError, events::NewEvent, jobs::Moved},
};

/// What a disconnect came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Disconnected {
    /// The row as it is now.
    pub connection: connection::Model,
    /// Jobs that were cancelled.
    pub cancelled: Vec<JobId>,
    /// The job that revokes the grant at the provider, where there was one.
    pub revocation: Option<job::Model>,
}

impl Store {
    /// Disconnects: schedules are deleted, waiting and running jobs are cancelled, the
    /// credential is emptied and what a consent granted is revoked by a job, records stay.
    /// The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn disconnect(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        actor: &str,
    ) -> Result<Disconnected, StoreError> {
        self.delete_schedules_of(tx, row.id).await?;
        let cancelled = self.cancel_work(tx, row).await?;
        let revocation = self.end_credential(tx, row, actor).await?;
        let change = connection::ActiveModel {
            status: Set(ConnectionStatus::Disconnected),
            health: Set(Health::Unknown),
            // There is no grant any more that could lack something.
            capabilities_refused: Set(json!({})),
            disconnected_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        let updated = self.update_connection(tx, row, change).await?;
        self.record_event(
            tx,
            NewEvent::new(row.org_id, EventKind::ConnectionDisconnected, actor).connection(row.id),
        )
        .await?;
        Ok(Disconnected {
            connection: updated,
            cancelled,
            revocation,
        })
    }

    /// Cancels the waiting and running jobs of a connection, and forgets the credentials that
    /// dead ones were asked to try: none of them brings it back. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn cancel_work(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut cancelled = Vec::new();
        loop {
            // Once more after each round: a job that ended while its cancel waited for it
            // may have left a successor.
            let open = open_jobs(tx, row).await?;
            if open.is_empty() {
                break;
            }
            for id in open {
                if let Moved::Done(_) = self.jobs().cancel(tx, row.org_id, id).await? {
                    cancelled.push(id);
                }
            }
        }
        self.forget_candidates(tx, row.org_id, row.id).await?;
        Ok(cancelled)
    }

    /// Disconnects connections that stayed pending since before `made_before`, at most `limit`.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_pending(
        &self,
        made_before: DateTime<Utc>,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let tx = self.begin().await?;
        let rows = connection::Entity::find()
            .filter(connection::Column::Status.eq(ConnectionStatus::Pending))
            .filter(connection::Column::CreatedAt.lt(made_before))
            // A credential in force means that a test passed once.
            .filter(
                Expr::exists(
                    sea_orm::sea_query::Query::select()
                        .column(credential::Column::Id)
                        .from(credential::Entity)
                        .and_where(
                            Expr::col((credential::Entity, credential::Column::ConnectionId))
                                .equals((connection::Entity, connection::Column::Id)),
                        )
                        .to_owned(),
                )
                .not(),
            )
            .order_by_asc(connection::Column::Id)
            .limit(limit)
            .lock(LockType::NoKeyUpdate)
            .all(&tx)
            .await?;
        let mut pruned = 0;
        for row in rows {
            self.disconnect(&tx, &row, "system").await?;
            self.record_event(
                &tx,
                NewEvent::new(row.org_id, EventKind::ConnectionPruned, "system").connection(row.id),
            )
            .await?;
            pruned += 1;
        }
        tx.commit().await?;
        Ok(pruned)
    }
}

/// Waiting and running jobs of a connection, in the order of their locks.
async fn open_jobs(
    tx: &DatabaseTransaction,
    row: &connection::Model,
) -> Result<Vec<JobId>, StoreError> {
    Ok(job::Entity::find()
        .select_only()
        .column(job::Column::Id)
        .filter(job::Column::ConnectionId.eq(row.id))
        .filter(job::Column::OrgId.eq(row.org_id))
        .filter(job::Column::State.is_in([JobState::Queued, JobState::Parked, JobState::Running]))
        .order_by_asc(job::Column::Id)
        .into_tuple()
        .all(tx)
        .await?)
}
