//! Who refreshes a grant at this moment, and what came of it.
//!
//! The lease is on the credential's row: one holder over all processes may ask the
//! provider. What it brings is written by compare-and-set on the row's version *and* on
//! the holder, so that one who was held up past the lease, while another took over,
//! writes nothing. The fence of a job is not used here on purpose: a token that the
//! provider has rotated must be kept even when the job that needed it was cancelled.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, sea_query::Expr, sea_query::LockBehavior,
    sea_query::LockType,
};
use uuid::Uuid;

use super::super::{Store, StoreError};
use crate::{
    connection::{ConnectionStatus, CredentialOrigin},
    entities::{connection, credential},
    ids::{ConnectionId, CredentialId, OrgId},
    job::{JobKind, NewJob, Queue},
    job_args::CredentialRefreshArgs,
};

/// The right to refresh one version of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshLease {
    /// Which credential.
    pub credential: CredentialId,
    /// Which version of it.
    pub version: i64,
    /// Who: a new id for each try.
    pub holder: Uuid,
}

/// Whether one may refresh now.
#[derive(Debug, Clone, PartialEq)]
pub enum RefreshTurn {
    /// Yes: here is the row, and whether the holder before this one never told an end.
    Mine {
        /// The row under the lease.
        row: Box<credential::Model>,
        /// A request was sent and its answer never committed.
        interrupted: bool,
    },
    /// Another does it at this moment.
    Busy,
    /// That version is not in force any more, or was refused for good: read anew.
    Changed,
}

/// What a refresh brought, closed for its row.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// What the vault closed.
    pub sealed: Vec<u8>,
    /// What people may see of each field.
    pub mask: serde_json::Value,
    /// When the access token ends, where that is known.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the refresh token ends, where that is known.
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// When to refresh again ahead of the end.
    pub refresh_due_at: Option<DateTime<Utc>>,
    /// What was granted; `None` where the answer does not say: as before.
    pub scopes: Option<Vec<String>>,
}

/// A grant whose refresh is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshDue {
    /// Whose.
    pub org: OrgId,
    /// Of which connection.
    pub connection: ConnectionId,
    /// Which version is to be replaced.
    pub version: i64,
}

impl RefreshDue {
    /// The job that does it.
    #[must_use]
    pub fn job(self) -> NewJob {
        let args = CredentialRefreshArgs {
            version: self.version,
        };
        NewJob {
            connection: Some(self.connection),
            args: serde_json::to_value(args).expect("a number is JSON"),
            timeout: JOB_TIMEOUT,
            dedupe_key: Some(format!("{}:refresh", self.connection)),
            ..NewJob::new(
                Some(self.org),
                JobKind::CredentialRefresh,
                Queue::Maintenance,
                "schedule",
            )
        }
    }
}

/// A refresh that has not ended by then is no longer waited for; what it brings is
/// committed all the same.
const JOB_TIMEOUT: Duration = Duration::from_secs(60);
/// A due refresh that was handed to a job is looked at again after this long.
const HANDED_OUT: TimeDelta = TimeDelta::minutes(5);
/// A refresh that failed for now is asked for again after this long, doubled with each
/// failure up to [`LATER_AT_MOST`].
const LATER: TimeDelta = TimeDelta::seconds(30);
const LATER_AT_MOST: TimeDelta = TimeDelta::minutes(15);

impl Store {
    /// Takes the right to refresh `version` for `lasts`, if nobody has it.
    ///
    /// # Errors
    /// The database.
    pub async fn lease_refresh(
        &self,
        lease: RefreshLease,
        lasts: Duration,
    ) -> Result<RefreshTurn, StoreError> {
        let now = self.jobs().now().await?;
        let tx = self.begin().await?;
        let row = credential::Entity::find_by_id(lease.credential)
            .lock(LockType::NoKeyUpdate)
            .one(&tx)
            .await?;
        let turn = match row {
            Some(row) if row.version == lease.version && is_alive(&row) => {
                if row.refresh_until.is_some_and(|until| until > now) {
                    RefreshTurn::Busy
                } else {
                    let change = credential::ActiveModel {
                        id: Set(row.id),
                        refresh_by: Set(Some(lease.holder)),
                        refresh_until: Set(Some(now + lasts)),
                        refresh_sent_at: Set(Some(now)),
                        ..Default::default()
                    };
                    let interrupted = row.refresh_sent_at.is_some();
                    let row = Box::new(credential::Entity::update(change).exec(&tx).await?);
                    RefreshTurn::Mine { row, interrupted }
                }
            }
            Some(_) | None => RefreshTurn::Changed,
        };
        tx.commit().await?;
        Ok(turn)
    }

    /// Puts what the provider gave in the place of what it replaces, and ends the lease.
    /// `None`: another took over, or the credential was replaced; nothing was written.
    ///
    /// # Errors
    /// The database.
    pub async fn commit_refresh(
        &self,
        tx: &DatabaseTransaction,
        lease: RefreshLease,
        new: Refreshed,
    ) -> Result<Option<i64>, StoreError> {
        let version = lease.version + 1;
        let mut change = credential::ActiveModel {
            sealed: Set(Some(new.sealed)),
            mask: Set(new.mask),
            version: Set(version),
            expires_at: Set(new.expires_at),
            refresh_expires_at: Set(new.refresh_expires_at),
            refresh_due_at: Set(new.refresh_due_at),
            refreshed_at: Set(Some(self.clock().now())),
            refresh_failures: Set(0),
            ..ended()
        };
        if let Some(scopes) = new.scopes {
            change.scopes = Set(Some(scopes.into()));
        }
        Ok(self
            .under_lease(tx, lease, change)
            .await?
            .then_some(version))
    }

    /// The refresh came to nothing for now: ends the lease. True if it was still held.
    ///
    /// # Errors
    /// The database.
    pub async fn postpone_refresh(
        &self,
        lease: RefreshLease,
        failures: i32,
    ) -> Result<bool, StoreError> {
        let doublings = u32::try_from(failures.clamp(0, 10)).unwrap_or(0);
        let later = LATER_AT_MOST.min(LATER * 2_i32.pow(doublings));
        let change = credential::ActiveModel {
            refresh_due_at: Set(Some(self.clock().now() + later)),
            refresh_failures: Set(failures.saturating_add(1)),
            ..ended()
        };
        self.under_lease(self.db(), lease, change).await
    }

    /// The provider was not asked, its host is left alone until then: ends the lease, and is
    /// no failure of the grant. True if it was still held.
    ///
    /// # Errors
    /// The database.
    pub async fn hold_refresh(
        &self,
        lease: RefreshLease,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let change = credential::ActiveModel {
            refresh_due_at: Set(Some(until)),
            ..ended()
        };
        self.under_lease(self.db(), lease, change).await
    }

    /// The provider has refused to refresh this version for good. False: another has taken
    /// over or the credential was replaced, so that the refusal says nothing of what comes;
    /// nothing was written. The caller holds the connection.
    ///
    /// # Errors
    /// The database.
    pub async fn refuse_refresh(
        &self,
        tx: &DatabaseTransaction,
        lease: RefreshLease,
    ) -> Result<bool, StoreError> {
        self.under_lease(tx, lease, self.refused()).await
    }

    /// The provider has refused this version for good where it was used, by one who refreshes
    /// nothing. False: it is not in force any more, so that the refusal says nothing of the
    /// present one. The caller holds the connection.
    ///
    /// # Errors
    /// The database.
    pub async fn refuse_grant(
        &self,
        tx: &DatabaseTransaction,
        credential: CredentialId,
        version: i64,
    ) -> Result<bool, StoreError> {
        let done = credential::Entity::update_many()
            .set(self.refused())
            .filter(credential::Column::Id.eq(credential))
            .filter(credential::Column::Version.eq(version))
            .filter(credential::Column::RevokedAt.is_null())
            .filter(credential::Column::RefusedAt.is_null())
            .exec(tx)
            .await?;
        Ok(done.rows_affected > 0)
    }

    /// Grants whose refresh is due, of connections that work, oldest first. Each is handed
    /// out once: the caller enqueues its job in the same transaction.
    ///
    /// # Errors
    /// The database.
    pub async fn take_due_refreshes(
        &self,
        tx: &DatabaseTransaction,
        limit: u64,
    ) -> Result<Vec<RefreshDue>, StoreError> {
        let now = self.clock().now();
        let working = connection::Entity::find()
            .select_only()
            .column(connection::Column::Id)
            .filter(
                connection::Column::Status
                    .is_in([ConnectionStatus::Active, ConnectionStatus::Error]),
            )
            .into_query();
        let rows: Vec<(CredentialId, OrgId, ConnectionId, i64)> = credential::Entity::find()
            .select_only()
            .column(credential::Column::Id)
            .column(credential::Column::OrgId)
            .column(credential::Column::ConnectionId)
            .column(credential::Column::Version)
            .filter(credential::Column::RefreshDueAt.lte(now))
            .filter(credential::Column::RevokedAt.is_null())
            .filter(credential::Column::RefusedAt.is_null())
            .filter(credential::Column::ConnectionId.in_subquery(working))
            .order_by_asc(credential::Column::RefreshDueAt)
            .limit(limit)
            .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
            .into_tuple()
            .all(tx)
            .await?;
        let ids: Vec<CredentialId> = rows.iter().map(|row| row.0).collect();
        if !ids.is_empty() {
            credential::Entity::update_many()
                .col_expr(
                    credential::Column::RefreshDueAt,
                    Expr::value(now + HANDED_OUT),
                )
                .filter(credential::Column::Id.is_in(ids))
                .exec(tx)
                .await?;
        }
        let due = rows
            .into_iter()
            .map(|(_, org, connection, version)| RefreshDue {
                org,
                connection,
                version,
            });
        Ok(due.collect())
    }

    fn refused(&self) -> credential::ActiveModel {
        credential::ActiveModel {
            refused_at: Set(Some(self.clock().now())),
            refresh_due_at: Set(None),
            ..ended()
        }
    }

    async fn under_lease(
        &self,
        db: &impl ConnectionTrait,
        lease: RefreshLease,
        change: credential::ActiveModel,
    ) -> Result<bool, StoreError> {
        let done = credential::Entity::update_many()
            .set(change)
            .filter(credential::Column::Id.eq(lease.credential))
            .filter(credential::Column::Version.eq(lease.version))
            .filter(credential::Column::RefreshBy.eq(lease.holder))
            .filter(credential::Column::RevokedAt.is_null())
            .exec(db)
            .await?;
        Ok(done.rows_affected > 0)
    }
}

/// A lease that has ended.
fn ended() -> credential::ActiveModel {
    credential::ActiveModel {
        refresh_by: Set(None),
        refresh_until: Set(None),
        refresh_sent_at: Set(None),
        ..Default::default()
    }
}

fn is_alive(row: &credential::Model) -> bool {
    row.origin == CredentialOrigin::Consent && row.revoked_at.is_none() && row.refused_at.is_none()
}
