//! Webhooks that an org is told of alerts by. What they sign with is closed under the org's
//! data key; only a worker writes or opens it.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use serde_json::{Value, json};
use url::Url;

use super::super::{Store, StoreError, events::NewEvent};
use crate::{
    entities::{
        alert_channel,
        alert_webhook::{ActiveModel, Column, Entity, Model},
    },
    events::EventKind,
    failure::Failure,
    ids::{AlertChannelId, OrgId},
    outbound::Origin,
};

impl Store {
    /// The org's webhooks, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn alert_webhooks(&self, org: OrgId) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .order_by_asc(Column::Id)
            .all(self.db())
            .await?)
    }

    /// One webhook of the org.
    ///
    /// # Errors
    /// The database.
    pub async fn alert_webhook(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        id: AlertChannelId,
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::OrgId.eq(org))
            .one(db)
            .await?)
    }

    /// Those that messages can be sent to: they have something to sign with, and did not say
    /// that they want no more.
    pub(super) async fn alert_webhooks_in_use(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
    ) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Secret.is_not_null())
            .filter(Column::DisabledAt.is_null())
            .order_by_asc(Column::Id)
            .all(tx)
            .await?)
    }

    /// How many channels of either kind the org has beside the webhook at this address. The
    /// caller holds the org ([`Store::lock_org`]).
    ///
    /// # Errors
    /// The database.
    pub async fn count_channels_beside_webhook(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        url: &Url,
    ) -> Result<u64, StoreError> {
        let mails = alert_channel::Entity::find().filter(alert_channel::Column::OrgId.eq(org));
        let webhooks = Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Url.ne(url.as_str()));
        Ok(mails.count(tx).await? + webhooks.count(tx).await?)
    }

    /// Makes the webhook at this address, or takes the one that is there back into use. It
    /// goes on signing as before until [`Self::set_alert_webhook_secret`].
    ///
    /// # Errors
    /// The database.
    pub async fn set_alert_webhook(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        url: &Url,
        actor: &str,
    ) -> Result<AlertChannelId, StoreError> {
        let row = Model {
            id: AlertChannelId::new(self.clock()),
            org_id: org,
            url: url.as_str().to_owned(),
            secret: None,
            secret_mask: None,
            secret_set_at: None,
            created_by: actor.to_owned(),
            created_at: self.clock().now(),
            disabled_at: None,
            last_delivered_at: None,
            last_error: None,
            last_error_at: None,
        };
        let by_address = [Column::OrgId, Column::Url];
        Entity::insert(ActiveModel::from(row))
            .on_conflict(
                OnConflict::columns(by_address)
                    .value(Column::DisabledAt, Expr::null())
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
        let id = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::OrgId.eq(org))
            .filter(Column::Url.eq(url.as_str()))
            .into_tuple::<AlertChannelId>()
            .one(tx)
            .await?
            .ok_or_else(|| StoreError::Unreadable {
                what: "alert_webhooks.id",
                why: "the row that was just written is not there".to_owned(),
            })?;
        self.record_webhook_event(
            tx,
            (org, id),
            url.as_str(),
            EventKind::AlertChannelSet,
            actor,
        )
        .await?;
        Ok(id)
    }

    /// What it signs with from now on, made at `made`. False: it was removed meanwhile, or has
    /// a secret that was made later, and keeps it: a job that is retried days after is no reason
    /// to sign with what it carries.
    ///
    /// # Errors
    /// The database.
    pub async fn set_alert_webhook_secret(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: AlertChannelId,
        (closed, mask): (Vec<u8>, &str),
        made: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel {
            secret: Set(Some(closed)),
            secret_mask: Set(Some(mask.to_owned())),
            secret_set_at: Set(Some(made)),
            ..Default::default()
        };
        let has_none_later = Condition::any()
            .add(Column::SecretSetAt.is_null())
            .add(Column::SecretSetAt.lte(made));
        self.change_alert_webhook(tx, org, id, change, has_none_later)
            .await
    }

    /// It took a message; `tested_by`: that was a test, asked for by them. Then it is in use
    /// again, if it still stands where it stood when the test began. An alert that arrives
    /// proves nothing: it may have been on its way when the receiver said 410 to another.
    ///
    /// # Errors
    /// The database.
    pub async fn note_alert_delivered(
        &self,
        tx: &DatabaseTransaction,
        webhook: &Model,
        tested_by: Option<&str>,
    ) -> Result<(), StoreError> {
        let (org, id) = (webhook.org_id, webhook.id);
        let change = ActiveModel {
            last_delivered_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        // One that was removed meanwhile has nothing to remember.
        self.change_alert_webhook(tx, org, id, change, Condition::all())
            .await?;
        let (Some(since), Some(actor)) = (webhook.disabled_at, tested_by) else {
            return Ok(());
        };
        let change = ActiveModel {
            disabled_at: Set(None),
            ..Default::default()
        };
        let as_read = Condition::all().add(Column::DisabledAt.eq(since));
        if self
            .change_alert_webhook(tx, org, id, change, as_read)
            .await?
        {
            let kind = EventKind::AlertChannelEnabled;
            self.record_webhook_event(tx, (org, id), &webhook.url, kind, actor)
                .await?;
        }
        Ok(())
    }

    /// It did not take a message. `wants_no_more`: nor will it take another.
    ///
    /// # Errors
    /// The database.
    pub async fn note_alert_undelivered(
        &self,
        tx: &DatabaseTransaction,
        webhook: &Model,
        failure: &Failure,
        wants_no_more: bool,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        let words = serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
            what: "alert_webhooks.last_error",
            why: error.to_string(),
        })?;
        let mut change = ActiveModel {
            last_error: Set(Some(words)),
            last_error_at: Set(Some(now)),
            ..Default::default()
        };
        if wants_no_more {
            change.disabled_at = Set(Some(now));
        }
        let (org, id) = (webhook.org_id, webhook.id);
        let is_there = self
            .change_alert_webhook(tx, org, id, change, Condition::all())
            .await?;
        if is_there && wants_no_more && webhook.disabled_at.is_none() {
            let kind = EventKind::AlertChannelDisabled;
            self.record_webhook_event(tx, (org, id), &webhook.url, kind, "system")
                .await?;
        }
        Ok(())
    }

    /// Removes a webhook of the org; says whether there was one.
    pub(super) async fn remove_alert_webhook(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: AlertChannelId,
        actor: &str,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.alert_webhook(tx, org, id).await? else {
            return Ok(false);
        };
        let done = Entity::delete_by_id(id).exec(tx).await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        self.record_webhook_event(
            tx,
            (org, id),
            &row.url,
            EventKind::AlertChannelRemoved,
            actor,
        )
        .await?;
        Ok(true)
    }

    async fn change_alert_webhook(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: AlertChannelId,
        change: ActiveModel,
        only_if: Condition,
    ) -> Result<bool, StoreError> {
        let done = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(id))
            .filter(Column::OrgId.eq(org))
            .filter(only_if)
            .exec(tx)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Names the host only: a path may be what lets a caller in.
    async fn record_webhook_event(
        &self,
        tx: &DatabaseTransaction,
        (org, id): (OrgId, AlertChannelId),
        url: &str,
        kind: EventKind,
        actor: &str,
    ) -> Result<(), StoreError> {
        let event = NewEvent::new(org, kind, actor)
            .data(json!({ "channel": id, "kind": "webhook", "host": host(url) }));
        self.record_event(tx, event).await?;
        Ok(())
    }
}

fn host(url: &str) -> Value {
    let origin = Url::parse(url).ok().and_then(|url| Origin::of(&url).ok());
    json!(origin.map(|origin| origin.to_string()))
}
