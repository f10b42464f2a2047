//! `patchbay alerts`: what is wrong, what it means and what to do.

mod channels;
mod limits;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use patchbay_core::{
    alerts::{AlertKind, AlertState},
    ids::{AlertId, ConnectionId},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, job::name},
    commands::connections::time,
    exit::Outcome,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay alerts
  patchbay alerts list --state open --connection square
  patchbay alerts silence 019ab2c3-7d4e-7f00-8000-000000000000 --until 2026-12-01T08:00:00Z

Alerts resolve by themselves once what they tell of is over.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List alerts, those that are not resolved first (the default)
    List(Which),
    /// Show one: what it means and what to do
    Show { alert: AlertId },
    /// Take notice of one
    Acknowledge { alert: AlertId },
    /// Silence one until a time, or end its silence
    Silence {
        alert: AlertId,
        /// Until when, such as 2026-12-01T08:00:00Z
        #[arg(long, value_name = "TIME", required_unless_present = "off")]
        until: Option<DateTime<Utc>>,
        /// End its silence
        #[arg(long, conflicts_with = "until")]
        off: bool,
    },
    /// Show or change from when on something is an alert
    Limits(limits::Arguments),
    /// Show or change where the organization is told of alerts, or send a test message there
    Channels(channels::Arguments),
}

#[derive(Debug, Default, Args)]
struct Which {
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only about this connection, by id, name or provider
    #[arg(long)]
    connection: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Open,
    Acknowledged,
    Resolved,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// What people see of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Alert {
    id: AlertId,
    kind: AlertKind,
    state: AlertState,
    connection_id: Option<ConnectionId>,
    provider: Option<String>,
    title: String,
    meaning: String,
    impact: Option<String>,
    next_action: String,
    count: i64,
    first_seen: DateTime<Utc>,
    last_seen: DateTime<Utc>,
    flaps: i32,
    acknowledged_by: Option<String>,
    silenced_until: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let list_all = Command::List(Which::default());
    match arguments.command.unwrap_or(list_all) {
        Command::List(which) => list(client, which, format).await,
        Command::Show { alert } => {
            show(&client.get(&format!("/alerts/{alert}"), &[]).await?, format)
        }
        Command::Acknowledge { alert } => {
            let path = format!("/alerts/{alert}/acknowledge");
            show(&client.post(&path, &[], &json!({})).await?, format)
        }
        Command::Silence {
            alert,
            until,
            off: _,
        } => {
            let path = format!("/alerts/{alert}/silence");
            let body: Value = json!({ "until": until });
            show(&client.post(&path, &[], &body).await?, format)
        }
        Command::Limits(arguments) => limits::run(client, arguments, format).await,
        Command::Channels(arguments) => channels::run(client, arguments, format).await,
    }
}

async fn list(client: &Client, which: Which, format: Format) -> Outcome {
    let mut query = Vec::new();
    if let Some(state) = which.state {
        query.push(("state", state.word().to_owned()));
    }
    if let Some(text) = &which.connection {
        let connection = client.find_connection(text).await?.id;
        query.push(("connection", connection.to_string()));
    }
    let answer: Answer<Vec<Alert>> = client.all("/alerts", &query).await?;
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    if answer.view.is_empty() {
        return output::say("No alerts.");
    }
    let row = |alert: &Alert| {
        [
            alert.id.to_string(),
            name(alert.state),
            alert.provider.clone().unwrap_or_default(),
            alert.title.clone(),
            alert.count.to_string(),
            time(Some(alert.last_seen)),
        ]
    };
    let rows: Vec<_> = answer.view.iter().map(row).collect();
    output::say(&output::table(
        ["ID", "STATE", "PROVIDER", "WHAT", "COUNT", "LAST SEEN"],
        &rows,
    ))
}

fn show(answer: &Answer<Alert>, format: Format) -> Outcome {
    match format {
        Format::Json => output::say_json(&answer.json),
        Format::Text => output::say(&words(&answer.view)),
    }
}

fn words(alert: &Alert) -> String {
    let mut lines = vec![
        alert.title.clone(),
        alert.meaning.clone(),
        alert.impact.clone().unwrap_or_default(),
        format!("What to do: {}", alert.next_action),
        format!(
            "{} ({}), seen {} times from {} to {}",
            name(alert.state),
            name(alert.kind),
            alert.count,
            time(Some(alert.first_seen)),
            time(Some(alert.last_seen)),
        ),
    ];
    lines.extend(alert.connection_id.map(|id| format!("connection {id}")));
    if alert.flaps > 0 {
        lines.push(format!("came back {} times", alert.flaps));
    }
    lines.extend(
        alert
            .acknowledged_by
            .as_ref()
            .map(|who| format!("acknowledged by {who}")),
    );
    let until = alert.silenced_until;
    lines.extend(until.map(|at| format!("silent until {}", time(Some(at)))));
    let over = alert.resolved_at;
    lines.extend(over.map(|at| format!("resolved {}", time(Some(at)))));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_says_what_happened_what_it_means_and_what_to_do() {
        let alert: Alert = serde_json::from_value(json!({
            "id": "019ab2c3-7d4e-7f00-8000-000000000000", "kind": "consent_expired",
            "state": "acknowledged", "connection_id": null, "provider": "slack",
            "title": "A consent has ended", "meaning": "Work waits.",
            "impact": "Messages are not sent.", "next_action": "Connect again.",
            "count": 3, "first_seen": "2026-11-20T10:00:00Z", "last_seen": "2026-11-20T11:00:00Z",
            "flaps": 2, "acknowledged_by": "api_key:1", "silenced_until": null, "resolved_at": null,
        }))
        .unwrap();
        let text = words(&alert);
        for part in [
            "A consent has ended\nWork waits.\nMessages are not sent.\nWhat to do: Connect again.",
            "acknowledged (consent_expired), seen 3 times",
            "came back 2 times\nacknowledged by api_key:1",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
