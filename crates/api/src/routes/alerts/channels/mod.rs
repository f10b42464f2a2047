//! Where the organization is told of alerts: e-mail through its own SMTP connections, and
//! webhooks ([`webhooks`]).

pub mod test;
pub mod webhooks;

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use patchbay_core::{
    entities::{alert_channel, alert_webhook, connection},
    ids::{AlertChannelId, ConnectionId},
    store::alerts::{CHANNELS_OF_AN_ORG, SEND_EMAIL},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    extract::{Body, Id},
    once::{self, Made, Turn},
    problem::{FieldError, Problem, ProblemBody},
    routes::jobs::{FailureView, failure},
    state::Api,
};

/// By what a channel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AlertChannelKind)]
pub enum ChannelKind {
    /// E-mail through a connection of the organization.
    Email,
    /// A signed message to an address.
    Webhook,
}

/// Where the organization is told of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AlertChannel)]
pub struct ChannelView {
    /// The channel.
    #[schema(value_type = Uuid)]
    id: AlertChannelId,
    /// By what it tells.
    kind: ChannelKind,
    /// Of `email`: the connection that sends. Its provider has the action `send_email`; what
    /// became of a message is in its jobs.
    #[schema(value_type = Option<Uuid>)]
    connection_id: Option<ConnectionId>,
    /// Of `email`: who is told.
    to: Vec<String>,
    /// Of `webhook`: where to.
    url: Option<String>,
    /// Of `webhook`: a mask of what messages are signed with, made when it was sealed; null
    /// until it is stored, and no message is sent before.
    secret_mask: Option<String>,
    /// Of `webhook`: when that was made.
    secret_set_at: Option<DateTime<Utc>>,
    /// Of `webhook`: when the receiver answered 410, so that no alert is sent there any more.
    /// A test message that arrives ends that, and so does setting the webhook anew.
    disabled_at: Option<DateTime<Utc>>,
    /// Of `webhook`: when a message last arrived.
    last_delivered_at: Option<DateTime<Utc>>,
    /// Of `webhook`: why a message last did not arrive; it stays until the next failure.
    last_error: Option<FailureView>,
    /// When that was.
    last_error_at: Option<DateTime<Utc>>,
    /// Who made it.
    created_by: String,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<alert_channel::Model> for ChannelView {
    fn from(row: alert_channel::Model) -> Self {
        let to = row.recipients.as_array().into_iter().flatten();
        Self {
            to: to
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
            id: row.id,
            kind: ChannelKind::Email,
            connection_id: Some(row.connection_id),
            url: None,
            secret_mask: None,
            secret_set_at: None,
            disabled_at: None,
            last_delivered_at: None,
            last_error: None,
            last_error_at: None,
            created_by: row.created_by,
            created_at: row.created_at,
        }
    }
}

impl From<alert_webhook::Model> for ChannelView {
    fn from(row: alert_webhook::Model) -> Self {
        Self {
            id: row.id,
            kind: ChannelKind::Webhook,
            connection_id: None,
            to: Vec::new(),
            url: Some(row.url),
            secret_mask: row.secret_mask,
            secret_set_at: row.secret_set_at,
            disabled_at: row.disabled_at,
            last_delivered_at: row.last_delivered_at,
            last_error: failure(row.last_error),
            last_error_at: row.last_error_at,
            created_by: row.created_by,
            created_at: row.created_at,
        }
    }
}

/// An e-mail channel to be made. A connection has one: a second request gives it other recipients.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAlertChannel {
    /// The SMTP connection that sends.
    #[schema(value_type = Uuid)]
    connection_id: ConnectionId,
    /// Who is told: `kim@example.com`, or `Kim <kim@example.com>`.
    #[schema(min_items = 1, max_items = 10)]
    to: Vec<String>,
}

/// The channels, oldest first.
#[utoipa::path(
    get, path = "/alert-channels", tag = "overview",
    responses((status = 200, body = Vec<ChannelView>)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Vec<ChannelView>>, Problem> {
    Ok(Json(channels(&api, &caller).await?))
}

/// Makes an e-mail channel, or gives the one that its connection has other recipients. From then on
/// every alert is told when it is raised: once within the quiet period of the alert limits at
/// most, not while it is silent or after a person has acknowledged it, and not what is about the channel's own
/// connection.
#[utoipa::path(
    post, path = "/alert-channels", tag = "overview", params(once::Header),
    request_body = SetAlertChannel,
    responses(
        (status = 200, body = ChannelView),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Body {
        value: body,
        faults,
        once,
    }: Body<SetAlertChannel>,
) -> Result<Json<ChannelView>, Problem> {
    let id = body.connection_id;
    if let Turn::First(work) = once::begin(&api, &caller, &once).await? {
        let (store, tx) = (&api.store, &work.tx);
        store.lock_org(tx, caller.org).await?;
        let row = store.lock_connection(tx, caller.org, id).await?;
        let mut errors = wrong(&api, row.as_ref(), &body.to);
        let others = store.count_other_channels(tx, caller.org, id).await?;
        if others >= CHANNELS_OF_AN_ORG {
            errors.push(FieldError::at("/connection_id", full()));
        }
        faults.with(if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        })?;
        store
            .set_alert_channel(tx, caller.org, id, &body.to, &caller.actor())
            .await?;
        work.end(Made::Connection(id, Vec::new())).await?;
    }
    let made = channels(&api, &caller).await?;
    let made = made
        .into_iter()
        .find(|channel| channel.connection_id == Some(id));
    Ok(Json(made.ok_or_else(|| Problem::not_found("channel"))?))
}

/// Removes a channel of either kind. Messages that wait are not sent to a webhook any more.
#[utoipa::path(
    delete, path = "/alert-channels/{id}", tag = "overview",
    params(("id" = Uuid, Path, description = "The channel")),
    responses((status = 204), (status = 404, body = ProblemBody)),
)]
pub async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<AlertChannelId>,
) -> Result<StatusCode, Problem> {
    let tx = api.store.begin().await?;
    let actor = caller.actor();
    let removed = api.store.remove_alert_channel(&tx, caller.org, id, &actor);
    if !removed.await? {
        return Err(Problem::not_found("channel"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn channels(api: &Api, caller: &Caller) -> Result<Vec<ChannelView>, Problem> {
    let mails = api.store.alert_channels(caller.org).await?;
    let webhooks = api.store.alert_webhooks(caller.org).await?;
    let mails = mails.into_iter().map(ChannelView::from);
    let mut all: Vec<ChannelView> = mails
        .chain(webhooks.into_iter().map(ChannelView::from))
        .collect();
    all.sort_by_key(|channel| channel.id);
    Ok(all)
}

/// Why there can be no further channel.
fn full() -> String {
    format!("there are {CHANNELS_OF_AN_ORG} channels, the most there may be: remove one")
}

/// Everything that is wrong with a channel of this connection.
fn wrong(api: &Api, row: Option<&connection::Model>, to: &[String]) -> Vec<FieldError> {
    let Some(row) = row else {
        return vec![FieldError::at(
            "/connection_id",
            "is no connection of yours",
        )];
    };
    let provider = api
        .providers
        .get(&row.provider)
        .filter(|provider| provider.manifest().action(SEND_EMAIL).is_some());
    let Some(provider) = provider else {
        let message = format!("sends no e-mails: it is one of {}", row.provider);
        return vec![FieldError::at("/connection_id", message)];
    };
    let input = json!({ "to": to, "subject": "alert", "text": "alert" });
    let faults = provider.input_faults(SEND_EMAIL, &input);
    faults
        .into_iter()
        .map(|fault| {
            let pointer = fault.pointer.trim_start_matches("/input").to_owned();
            FieldError::at(pointer, fault.message)
        })
        .collect()
}
