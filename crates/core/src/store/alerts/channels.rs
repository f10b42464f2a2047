//! Where an org is told of alerts: by e-mail through its own SMTP connections. A message is an
//! action of that connection like any other, with its limits, its retries and its record that
//! it was sent, and is enqueued in the transaction that raises the alert.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};
use serde_json::{Value, json};

use super::{
    super::{Store, StoreError},
    causes::before,
};
use crate::{
    alerts::Limits,
    connection::ConnectionStatus,
    entities::{
        alert,
        alert_channel::{ActiveModel, Column, Entity, Model},
        connection,
    },
    ids::{AlertChannelId, ConnectionId, OrgId},
    job::{JobKind, NewJob, Queue},
    job_args::ActionArgs,
};

/// Channels that an org may have.
pub const CHANNELS_OF_AN_ORG: u64 = 10;

/// The action of a connection that a channel uses.
pub const SEND_EMAIL: &str = "send_email";

impl Store {
    /// The org's channels, oldest first.
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

    /// How many channels the org has beside that of this connection.
    ///
    /// # Errors
    /// The database.
    pub async fn count_other_channels(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<u64, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::ConnectionId.ne(connection))
            .count(tx)
            .await?)
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
        Ok(())
    }

    /// Removes a channel of the org; says whether there was one.
    ///
    /// # Errors
    /// The database.
    pub async fn remove_alert_channel(
        &self,
        org: OrgId,
        id: AlertChannelId,
    ) -> Result<bool, StoreError> {
        let done = Entity::delete_many()
            .filter(Column::Id.eq(id))
            .filter(Column::OrgId.eq(org))
            .exec(self.db())
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Enqueues the messages of an alert that was just raised, unless somebody knows of it
    /// already, it is silent, or its quiet period since the last message is not over. The
    /// caller has just written the alert's row in `tx`.
    ///
    /// A channel is not told of what is wrong with its own connection, nor used while that
    /// connection does not work: a message that waits would be old news.
    pub(super) async fn tell_channels(
        &self,
        tx: &DatabaseTransaction,
        alert: &alert::Model,
        limits: Limits,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let heard_lately = alert
            .notified_at
            .is_some_and(|at| at > before(now, limits.quiet));
        let silent = alert.silenced_until.is_some_and(|until| until > now);
        if heard_lately || silent || alert.acknowledged_at.is_some() {
            return Ok(());
        }
        let channels = Entity::find()
            .filter(Column::OrgId.eq(alert.org_id))
            .all(tx)
            .await?;
        let mut jobs = Vec::new();
        for channel in channels {
            let row = self
                .connection(tx, alert.org_id, channel.connection_id)
                .await?;
            let works = row.is_some_and(|row| row.status == ConnectionStatus::Active);
            if works && alert.connection_id != Some(channel.connection_id) {
                jobs.push(self.message(tx, alert, channel).await?);
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        self.jobs().enqueue(tx, jobs).await?;
        alert::Entity::update_many()
            .col_expr(alert::Column::NotifiedAt, Expr::value(now))
            .filter(alert::Column::Id.eq(alert.id))
            .exec(tx)
            .await?;
        Ok(())
    }

    async fn message(
        &self,
        tx: &DatabaseTransaction,
        alert: &alert::Model,
        channel: Model,
    ) -> Result<NewJob, StoreError> {
        let about = match alert.connection_id {
            Some(id) => self.connection(tx, alert.org_id, id).await?,
            None => None,
        };
        let args = ActionArgs {
            action: SEND_EMAIL.to_owned(),
            input: email(alert, about.as_ref(), channel.recipients),
        };
        let args = serde_json::to_value(args).map_err(|error| StoreError::Unreadable {
            what: "jobs.args",
            why: error.to_string(),
        })?;
        Ok(NewJob {
            connection: Some(channel.connection_id),
            args,
            ..NewJob::new(
                Some(alert.org_id),
                JobKind::Action,
                Queue::Interactive,
                "system",
            )
        })
    }
}

fn email(alert: &alert::Model, about: Option<&connection::Model>, to: Value) -> Value {
    let words = alert.kind.words();
    let which = about.map_or_else(String::new, |row| {
        format!("Connection: {} ({})\n", one_line(&row.name), row.provider)
    });
    json!({
        "to": to,
        "subject": format!("[Patchbay] {}", words.title),
        "text": format!(
            "{}.\n\n{}\n\nWhat to do: {}\n\n{which}Alert: {}\nFirst seen: {}\n",
            words.title,
            words.meaning,
            words.next_action,
            alert.id,
            alert.first_seen.format("%Y-%m-%d %H:%M UTC"),
        ),
    })
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
