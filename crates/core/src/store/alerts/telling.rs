//! What an org's channels are told: enqueued in the transaction that raises the alert. An
//! e-mail is an action of its connection like any other, with its limits, its retries and its
//! record that it was sent; a message to a webhook is a job of its own.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    super::{Store, StoreError},
    causes::before,
    channels::SEND_EMAIL,
};
use crate::{
    alerts::Limits,
    connection::ConnectionStatus,
    entities::{alert, alert_channel, connection},
    ids::{AlertChannelId, OrgId},
    job::{JobKind, NewJob, Queue},
    job_args::{ActionArgs, AlertDeliveryArgs},
};

/// A delivery is one exchange of twenty seconds at most.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// A person waits for what becomes of a test message.
const TEST_ATTEMPTS: i32 = 1;

/// What a test of a channel says.
const TEST_TITLE: &str = "A test message";
const TEST_MEANING: &str =
    "A person asked for it. Nothing is wrong: alerts of this organization arrive here.";

impl Store {
    /// Enqueues the messages of an alert that was just raised, unless somebody knows of it
    /// already. While it is silent, or its quiet period since the last message is not over, the
    /// message waits for the end of that. The caller has just written the alert's row in `tx`.
    ///
    /// An e-mail channel is not told of what is wrong with its own connection, nor used while
    /// that connection does not work: a message that waits would be old news. Nor is a webhook
    /// that cannot sign yet, or said that it wants no more.
    pub(super) async fn tell_channels(
        &self,
        tx: &DatabaseTransaction,
        alert: &alert::Model,
        limits: Limits,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if alert.acknowledged_at.is_some() {
            return Ok(());
        }
        if is_silent(alert, now) || is_heard_lately(alert, limits, now) {
            return withhold(tx, alert, Some(now)).await;
        }
        let org = alert.org_id;
        let about = match alert.connection_id {
            Some(id) => self.connection(tx, org, id).await?,
            None => None,
        };
        let mut jobs = Vec::new();
        let mails = alert_channel::Entity::find()
            .filter(alert_channel::Column::OrgId.eq(org))
            .all(tx)
            .await?;
        for channel in mails {
            let sender = self.connection(tx, org, channel.connection_id).await?;
            let works = sender.is_some_and(|row| row.status == ConnectionStatus::Active);
            if works && alert.connection_id != Some(channel.connection_id) {
                let words = email(alert, about.as_ref());
                let job = NewJob::new(Some(org), JobKind::Action, Queue::Interactive, "system");
                jobs.push(mail_job(job, channel, &words)?);
            }
        }
        for webhook in self.alert_webhooks_in_use(tx, org).await? {
            let args = AlertDeliveryArgs {
                channel: webhook.id,
                test: false,
                message: message(alert, about.as_ref(), now),
            };
            let job = NewJob::new(Some(org), JobKind::AlertDelivery, Queue::Webhook, "system");
            jobs.push(delivery_job(job, &args)?);
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

    /// An alert came back while it was silent, or within its quiet period, and is still open: it
    /// is told once that is over. Says whether that is now.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn tell_what_was_withheld(
        &self,
        alert: &alert::Model,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if alert.withheld_at.is_none() || is_silent(alert, now) || alert.acknowledged_at.is_some() {
            return Ok(false);
        }
        let set = self.alert_limits(self.db(), alert.org_id).await?;
        let limits = set.map_or_else(Limits::default, |set| set.limits);
        if is_heard_lately(alert, limits, now) {
            return Ok(false);
        }
        // Another scheduler, or a person, may have been here since it was read.
        let tx = self.begin().await?;
        let held = alert::Entity::find_by_id(alert.id)
            .filter(alert::Column::WithheldAt.is_not_null())
            .filter(alert::Column::ResolvedAt.is_null())
            .lock(LockType::NoKeyUpdate)
            .one(&tx)
            .await?;
        let Some(held) = held else {
            return Ok(false);
        };
        withhold(&tx, &held, None).await?;
        self.tell_channels(&tx, &held, limits, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The job that sends a test message to a channel of the org, asked for as `asked` says
    /// (its kind and queue are chosen here); `None`: there is no such channel. The transaction
    /// is the caller's, who enqueues it.
    ///
    /// # Errors
    /// The database.
    pub async fn alert_test_message(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: AlertChannelId,
        asked: NewJob,
    ) -> Result<Option<NewJob>, StoreError> {
        if let Some(webhook) = self.alert_webhook(tx, org, id).await? {
            let args = AlertDeliveryArgs {
                channel: webhook.id,
                test: true,
                message: json!({
                    "type": "alert.test",
                    "timestamp": instant(self.clock().now()),
                    "data": { "channel": id, "title": TEST_TITLE, "meaning": TEST_MEANING },
                }),
            };
            let job = NewJob {
                kind: JobKind::AlertDelivery,
                queue: Queue::Webhook,
                max_attempts: TEST_ATTEMPTS,
                ..asked
            };
            return Ok(Some(delivery_job(job, &args)?));
        }
        let mail = alert_channel::Entity::find_by_id(id)
            .filter(alert_channel::Column::OrgId.eq(org))
            .one(tx)
            .await?;
        let Some(channel) = mail else { return Ok(None) };
        let words = Mail {
            subject: format!("[Patchbay] {TEST_TITLE}"),
            text: format!("{TEST_TITLE}.\n\n{TEST_MEANING}\n"),
        };
        let job = NewJob {
            kind: JobKind::Action,
            queue: Queue::Interactive,
            max_attempts: TEST_ATTEMPTS,
            ..asked
        };
        Ok(Some(mail_job(job, channel, &words)?))
    }
}

fn is_silent(alert: &alert::Model, now: DateTime<Utc>) -> bool {
    alert.silenced_until.is_some_and(|until| until > now)
}

fn is_heard_lately(alert: &alert::Model, limits: Limits, now: DateTime<Utc>) -> bool {
    let quiet_since = before(now, limits.quiet);
    alert.notified_at.is_some_and(|at| at > quiet_since)
}

/// Notes since when a message waits for the end of a silence or of the quiet period, or that
/// none does.
async fn withhold(
    tx: &DatabaseTransaction,
    alert: &alert::Model,
    since: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    alert::Entity::update_many()
        .col_expr(alert::Column::WithheldAt, Expr::value(since))
        .filter(alert::Column::Id.eq(alert.id))
        .exec(tx)
        .await?;
    Ok(())
}

/// What an e-mail says.
struct Mail {
    subject: String,
    text: String,
}

fn mail_job(
    job: NewJob,
    channel: alert_channel::Model,
    words: &Mail,
) -> Result<NewJob, StoreError> {
    let args = ActionArgs {
        action: SEND_EMAIL.to_owned(),
        input: json!({ "to": channel.recipients, "subject": words.subject, "text": words.text }),
    };
    Ok(NewJob {
        connection: Some(channel.connection_id),
        args: stored(&args)?,
        ..job
    })
}

fn delivery_job(job: NewJob, args: &AlertDeliveryArgs) -> Result<NewJob, StoreError> {
    Ok(NewJob {
        args: stored(args)?,
        timeout: DELIVERY_TIMEOUT,
        ..job
    })
}

fn stored(args: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(args).map_err(|error| StoreError::Unreadable {
        what: "jobs.args",
        why: error.to_string(),
    })
}

fn email(alert: &alert::Model, about: Option<&connection::Model>) -> Mail {
    let words = alert.kind.words();
    let which = about.map_or_else(String::new, |row| {
        format!("Connection: {} ({})\n", one_line(&row.name), row.provider)
    });
    Mail {
        subject: format!("[Patchbay] {}", words.title),
        text: format!(
            "{}.\n\n{}\n\nWhat to do: {}\n\n{which}Alert: {}\nFirst seen: {}\n",
            words.title,
            words.meaning,
            words.next_action,
            alert.id,
            alert.first_seen.format("%Y-%m-%d %H:%M UTC"),
        ),
    }
}

/// What a webhook is sent: type, time and data, as Standard Webhooks advises.
fn message(alert: &alert::Model, about: Option<&connection::Model>, now: DateTime<Utc>) -> Value {
    let words = alert.kind.words();
    let connection =
        about.map(|row| json!({ "id": row.id, "name": row.name, "provider": row.provider }));
    json!({
        "type": "alert.raised",
        "timestamp": instant(now),
        "data": {
            "id": alert.id,
            "kind": alert.kind,
            "title": words.title,
            "meaning": words.meaning,
            "next_action": words.next_action,
            "connection": connection,
            "count": alert.count,
            "flaps": alert.flaps,
            "first_seen": instant(alert.first_seen),
        },
    })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
