//! An org's own OAuth clients, in place of the deployment's. The secret is closed under the
//! org's data key; only a worker writes or opens it.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::json;

use super::{Store, StoreError, events::NewEvent};
use crate::{
    connection::ConnectionStatus,
    entities::{
        connection, credential,
        oauth_client::{ActiveModel, Column, Entity, Model},
    },
    events::EventKind,
    ids::{ConnectionId, OauthClientId, OrgId},
};

/// A client that is to take the place of the one before it.
#[derive(Debug, Clone)]
pub struct NewOauthClient {
    /// Its id, which the ciphertext is bound to.
    pub id: OauthClientId,
    /// Whose.
    pub org: OrgId,
    /// Key of the provider.
    pub provider: String,
    /// As the provider gave it.
    pub client_id: String,
    /// What the vault closed; `None` for a public client.
    pub secret: Option<Vec<u8>>,
    /// What people may see of the secret.
    pub mask: Option<String>,
    /// Who set it.
    pub created_by: String,
}

impl Store {
    /// Sets an org's client of a provider; the one before it goes.
    ///
    /// # Errors
    /// The database.
    pub async fn set_oauth_client(
        &self,
        tx: &DatabaseTransaction,
        new: NewOauthClient,
    ) -> Result<(), StoreError> {
        Entity::delete_many()
            .filter(Column::OrgId.eq(new.org))
            .filter(Column::Provider.eq(&new.provider))
            .exec(tx)
            .await?;
        let row = Model {
            id: new.id,
            org_id: new.org,
            provider: new.provider,
            client_id: new.client_id,
            secret: new.secret,
            mask: new.mask,
            created_by: new.created_by,
            created_at: self.clock().now(),
        };
        let event = NewEvent::new(row.org_id, EventKind::OauthClientSet, &row.created_by)
            .data(json!({ "provider": row.provider, "client_id": row.client_id }));
        Entity::insert(ActiveModel::from(row))
            .exec_without_returning(tx)
            .await?;
        self.record_event(tx, event).await?;
        Ok(())
    }

    /// An org's own client of a provider.
    ///
    /// # Errors
    /// The database.
    pub async fn oauth_client(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        provider: &str,
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Provider.eq(provider))
            .one(db)
            .await?)
    }

    /// An org's own clients, by provider.
    ///
    /// # Errors
    /// The database.
    pub async fn oauth_clients(&self, org: OrgId) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .order_by_asc(Column::Provider)
            .all(self.db())
            .await?)
    }

    /// Removes an org's own client. False if there was none.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_oauth_client(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        provider: &str,
        actor: &str,
    ) -> Result<bool, StoreError> {
        let done = Entity::delete_many()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Provider.eq(provider))
            .exec(tx)
            .await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        let event = NewEvent::new(org, EventKind::OauthClientRemoved, actor)
            .data(json!({ "provider": provider }));
        self.record_event(tx, event).await?;
        Ok(true)
    }

    /// A connection of the org whose grant was given to this client: without the client it
    /// could not be refreshed.
    ///
    /// # Errors
    /// The database.
    pub async fn granted_to_client(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        provider: &str,
        client_id: &str,
    ) -> Result<Option<ConnectionId>, StoreError> {
        let with_grant = credential::Entity::find()
            .select_only()
            .column(credential::Column::ConnectionId)
            .filter(credential::Column::OrgId.eq(org))
            .filter(credential::Column::ClientId.eq(client_id))
            .filter(credential::Column::RevokedAt.is_null())
            .into_tuple::<ConnectionId>()
            .all(db)
            .await?;
        let row = connection::Entity::find()
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Provider.eq(provider))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .filter(connection::Column::Id.is_in(with_grant))
            .one(db)
            .await?;
        Ok(row.map(|row| row.id))
    }
}
