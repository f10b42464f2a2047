//! Credentials: sealed, versioned, never returned. The vault closes and opens
//! them; what stays after a disconnect is a tombstone without secret.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, sea_query::Expr,
};

pub mod refresh;
mod status;

pub use status::TokenStatus;

use super::{Store, StoreError};
use crate::{
    connection::CredentialOrigin,
    entities::{credential, job},
    ids::{ConnectionId, CredentialId, OrgId},
    job::{JobKind, JobState},
};

/// A closed credential that is to become current.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Its id, which the ciphertext is bound to.
    pub id: CredentialId,
    /// What the vault closed.
    pub sealed: Vec<u8>,
    /// What people may see of each field.
    pub mask: serde_json::Value,
    /// When it stops working, where that is known.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who set it.
    pub created_by: String,
    /// What the provider granted, where it came by consent.
    pub grant: Option<GrantFacts>,
}

/// What is known of a grant beside its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFacts {
    /// The OAuth client it was given to.
    pub client_id: String,
    /// What may be done with it; `None` where the provider does not say.
    pub scopes: Option<Vec<String>>,
    /// Whether it has a refresh token.
    pub refreshable: bool,
    /// When the refresh token ends, where that is known.
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// When it should be refreshed ahead of its end.
    pub refresh_due_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The credential in force, if the connection has one.
    ///
    /// # Errors
    /// The database.
    pub async fn current_credential(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<Option<credential::Model>, StoreError> {
        Ok(credential::Entity::find()
            .filter(credential::Column::OrgId.eq(org))
            .filter(credential::Column::ConnectionId.eq(connection))
            .filter(credential::Column::RevokedAt.is_null())
            .one(db)
            .await?)
    }

    /// The newest version of a connection's credential, a tombstone too.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_credential(
        &self,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<Option<credential::Model>, StoreError> {
        Ok(credential::Entity::find()
            .filter(credential::Column::OrgId.eq(org))
            .filter(credential::Column::ConnectionId.eq(connection))
            .order_by_desc(credential::Column::Version)
            .one(self.db())
            .await?)
    }

    /// Makes a credential current; the one before it becomes a tombstone. The caller
    /// holds the connection's row ([`Store::lock_connection`]). Returns the new version.
    ///
    /// # Errors
    /// The database.
    pub async fn replace_credential(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
        new: NewCredential,
    ) -> Result<i64, StoreError> {
        self.revoke_credential(tx, org, connection, &new.created_by)
            .await?;
        self.forget_candidates(tx, org, connection).await?;
        let newest = credential::Entity::find()
            .filter(credential::Column::ConnectionId.eq(connection))
            .order_by_desc(credential::Column::Version)
            .one(tx)
            .await?;
        let version = newest.map_or(1, |row| row.version + 1);
        let (origin, grant) = match new.grant {
            Some(grant) => (CredentialOrigin::Consent, Some(grant)),
            None => (CredentialOrigin::Secret, None),
        };
        let scopes = grant.as_ref().and_then(|grant| grant.scopes.clone());
        credential::Entity::insert(credential::ActiveModel {
            id: Set(new.id),
            org_id: Set(org),
            connection_id: Set(connection),
            version: Set(version),
            sealed: Set(Some(new.sealed)),
            mask: Set(new.mask),
            expires_at: Set(new.expires_at),
            created_by: Set(new.created_by),
            created_at: Set(self.clock().now()),
            revoked_by: Set(None),
            revoked_at: Set(None),
            origin: Set(origin),
            client_id: Set(grant.as_ref().map(|grant| grant.client_id.clone())),
            scopes: Set(scopes.map(serde_json::Value::from)),
            refreshable: Set(grant.as_ref().is_some_and(|grant| grant.refreshable)),
            refresh_expires_at: Set(grant.as_ref().and_then(|grant| grant.refresh_expires_at)),
            refreshed_at: Set(None),
            refresh_due_at: Set(grant.as_ref().and_then(|grant| grant.refresh_due_at)),
            refresh_by: Set(None),
            refresh_until: Set(None),
            refresh_sent_at: Set(None),
            refresh_failures: Set(0),
            refused_at: Set(None),
        })
        .exec_without_returning(tx)
        .await?;
        Ok(version)
    }

    /// Empties the credentials that dead tests of a connection were asked to try: a retry
    /// would put an older one in the place of what came since.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_candidates(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<(), StoreError> {
        job::Entity::update_many()
            .col_expr(job::Column::Sealed, Expr::value(None::<Vec<u8>>))
            .filter(job::Column::OrgId.eq(org))
            .filter(job::Column::ConnectionId.eq(connection))
            .filter(job::Column::Kind.eq(JobKind::ConnectionTest))
            .filter(job::Column::State.is_in([JobState::Failed, JobState::Quarantined]))
            .filter(job::Column::Sealed.is_not_null())
            .filter(job::Column::FinishedAt.is_not_null())
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Empties the credential in force; who and when stays. True if there was one.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke_credential(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
        by: &str,
    ) -> Result<bool, StoreError> {
        let done = credential::Entity::update_many()
            .col_expr(credential::Column::Sealed, Expr::value(None::<Vec<u8>>))
            .col_expr(
                credential::Column::RevokedAt,
                Expr::value(self.clock().now()),
            )
            .col_expr(credential::Column::RevokedBy, Expr::value(by))
            .filter(credential::Column::OrgId.eq(org))
            .filter(credential::Column::ConnectionId.eq(connection))
            .filter(credential::Column::RevokedAt.is_null())
            .exec(tx)
            .await?;
        Ok(done.rows_affected > 0)
    }

    /// Every version of a connection's credential, newest first, tombstones included.
    ///
    /// # Errors
    /// The database.
    pub async fn credential_history(
        &self,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<Vec<credential::Model>, StoreError> {
        Ok(credential::Entity::find()
            .filter(credential::Column::OrgId.eq(org))
            .filter(credential::Column::ConnectionId.eq(connection))
            .order_by_desc(credential::Column::Version)
            .all(self.db())
            .await?)
    }
}
