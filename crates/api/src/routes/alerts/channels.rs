//! Where the organization is told of alerts: e-mail through its own SMTP connections.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use patchbay_core::{
    entities::{alert_channel, connection},
    ids::{AlertChannelId, ConnectionId},
    store::alerts::{CHANNELS_OF_AN_ORG, SEND_EMAIL},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    extract::{Body, Id},
    problem::{FieldError, Problem, ProblemBody},
    state::Api,
};

/// Where the organization is told of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AlertChannel)]
pub struct ChannelView {
    /// The channel.
    #[schema(value_type = Uuid)]
    id: AlertChannelId,
    /// The connection that sends: its provider has the action `send_email`.
    #[schema(value_type = Uuid)]
    connection_id: ConnectionId,
    /// Who is told.
    to: Vec<String>,
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
            connection_id: row.connection_id,
            created_by: row.created_by,
            created_at: row.created_at,
        }
    }
}

/// A channel to be made. A connection has one: a second request gives it other recipients.
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

/// Makes a channel, or gives the one that its connection has other recipients. From then on
/// every alert is told when it is raised: once in half an hour at most, not while it is
/// silent or after a person has acknowledged it, and not what is about the channel's own
/// connection.
#[utoipa::path(
    post, path = "/alert-channels", tag = "overview",
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
        once: _,
    }: Body<SetAlertChannel>,
) -> Result<Json<ChannelView>, Problem> {
    let id = body.connection_id;
    let tx = api.store.begin().await?;
    let row = api.store.lock_connection(&tx, caller.org, id).await?;
    let mut errors = wrong(&api, row.as_ref(), &body.to);
    let others = api.store.count_other_channels(&tx, caller.org, id).await?;
    if others >= CHANNELS_OF_AN_ORG {
        let message =
            format!("there are {CHANNELS_OF_AN_ORG} channels, the most there may be: remove one");
        errors.push(FieldError::at("/connection_id", message));
    }
    faults.with(if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    })?;
    api.store
        .set_alert_channel(&tx, caller.org, id, &body.to, &caller.actor())
        .await?;
    tx.commit().await?;
    let made = channels(&api, &caller).await?;
    let made = made.into_iter().find(|channel| channel.connection_id == id);
    Ok(Json(made.ok_or_else(|| Problem::not_found("channel"))?))
}

/// Removes a channel.
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
    if api.store.remove_alert_channel(caller.org, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("channel"))
    }
}

async fn channels(api: &Api, caller: &Caller) -> Result<Vec<ChannelView>, Problem> {
    let rows = api.store.alert_channels(caller.org).await?;
    Ok(rows.into_iter().map(ChannelView::from).collect())
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
