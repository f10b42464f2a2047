//! Where an org is told of alerts by e-mail: through its own SMTP connections. Its webhooks
//! are in [`super::webhooks`], what is said in [`super::telling`].

use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    sea_query::OnConflict,
};
use serde_json::json;

use super::super::{Store, StoreError, events::NewEvent};
use crate::{
    entities::{
        alert_channel::{ActiveModel, Column, Entity, Model},
        alert_webhook,
    },
    events::EventKind,
    ids::{AlertChannelId, ConnectionId, OrgId},
};

/// Channels of both kinds together that an org may have.
pub const CHANNELS_OF_AN_ORG: u64 = 10;

/// The action of a connection that a channel uses.
pub const SEND_EMAIL: &str = "send_email";

impl Store {
    /// The org's e-mail channels, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn alert_channels(&self, org: OrgId) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .order_by_asc(Column::Id)
            .all(self.db())
            .await?)
    }

    /// How many channels of either kind the org has beside that of this connection. The caller
    /// holds the org ([`Store::lock_org`]).
    ///
    /// # Errors
    /// The database.
    pub async fn count_other_channels(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<u64, StoreError> {
        let mails = Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::ConnectionId.ne(connection));
        let webhooks = alert_webhook::Entity::find().filter(alert_webhook::Column::OrgId.eq(org));
        Ok(mails.count(tx).await? + webhooks.count(tx).await?)
    }

    /// Makes the channel of a connection, or gives the one it has other recipients.
    ///
    /// # Errors
    /// The database.
    pub async fn set_alert_channel(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
        recipients: &[String],
        actor: &str,
    ) -> Result<(), StoreError> {
        let row = Model {
            id: AlertChannelId::new(self.clock()),
            org_id: org,
            connection_id: connection,
            recipients: json!(recipients),
            created_by: actor.to_owned(),
            created_at: self.clock().now(),
        };
        Entity::insert(ActiveModel::from(row))
            .on_conflict(
                OnConflict::columns([Column::OrgId, Column::ConnectionId])
                    .update_column(Column::Recipients)
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
        // Who they are only admins may read; the activity log is for everyone.
        let event = NewEvent::new(org, EventKind::AlertChannelSet, actor)
            .connection(connection)
            .data(json!({ "kind": "email", "recipients": recipients.len() }));
        self.record_event(tx, event).await?;
        Ok(())
    }

    /// Removes a channel of the org, of either kind; says whether there was one.
    ///
    /// # Errors
    /// The database.
    pub async fn remove_alert_channel(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: AlertChannelId,
        actor: &str,
    ) -> Result<bool, StoreError> {
        if self.remove_alert_webhook(tx, org, id, actor).await? {
            return Ok(true);
        }
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id))
            .filter(Column::OrgId.eq(org))
            .exec(tx)
            .await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        let event = NewEvent::new(org, EventKind::AlertChannelRemoved, actor)
            .data(json!({ "channel": id, "kind": "email" }));
        self.record_event(tx, event).await?;
        Ok(true)
    }
}
