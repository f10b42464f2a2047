//! `patchbay alerts channels`: where the organization is told of alerts.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use patchbay_core::{ids::AlertChannelId, job::JobState};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    client::{Answer, Client, job::Job},
    commands::connections::time,
    exit::Outcome,
    follow,
    output::{self, Format},
};

/// Storing a secret is one small transaction of a worker.
const STORED_WITHIN: &str = "30";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay alerts channels
  patchbay alerts channels add-email smtp --to ops@example.com --to 'Kim <kim@example.com>'
  patchbay alerts channels add-webhook https://hooks.example.com/patchbay
  patchbay alerts channels test 019ab2c3-7d4e-7f00-8000-000000000000

A webhook's messages are signed as Standard Webhooks defines it. add-webhook shows the secret
once; asked again for the same address it makes another one, and the first signs no more.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List them (the default)
    List,
    /// Send e-mails through an SMTP connection; asked again, to these recipients instead
    AddEmail {
        /// Which connection sends, by id, name or provider
        connection: String,
        /// Who is told: kim@example.com, or Kim <kim@example.com>
        #[arg(long, value_name = "ADDRESS", required = true)]
        to: Vec<String>,
    },
    /// Send signed messages to an https address; shows the secret they are signed with, once
    AddWebhook {
        /// Where to, such as https://hooks.example.com/patchbay
        address: Url,
    },
    /// Remove one
    Remove { channel: AlertChannelId },
    /// Send a test message and wait for what becomes of it
    Test { channel: AlertChannelId },
}

/// What people see of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Channel {
    id: AlertChannelId,
    kind: String,
    to: Vec<String>,
    url: Option<String>,
    secret_mask: Option<String>,
    disabled_at: Option<DateTime<Utc>>,
    last_delivered_at: Option<DateTime<Utc>>,
    last_error: Option<LastError>,
    last_error_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct LastError {
    message: String,
    action: String,
}

#[derive(Debug, Deserialize)]
struct WebhookSet {
    channel: Option<Channel>,
    secret: Option<String>,
    job: Job,
}

impl Channel {
    fn target(&self) -> String {
        match &self.url {
            Some(url) => url.clone(),
            None => self.to.join(", "),
        }
    }

    /// Whether messages are sent, as far as the channel itself can say.
    fn state(&self) -> &'static str {
        match (self.kind.as_str(), &self.disabled_at, &self.secret_mask) {
            ("webhook", Some(_), _) => "disabled",
            ("webhook", None, None) => "pending",
            _ => "in use",
        }
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments.command.unwrap_or(Command::List) {
        Command::List => list(&client.get("/alert-channels", &[]).await?, format),
        Command::AddEmail { connection, to } => {
            let connection = client.find_connection(&connection).await?.id;
            let body = json!({ "connection_id": connection, "to": to });
            let made: Answer<Channel> = client.post("/alert-channels", &[], &body).await?;
            match format {
                Format::Json => output::say_json(&made.json),
                Format::Text => output::say(&added(&made.view)),
            }
        }
        Command::AddWebhook { address } => add_webhook(client, &address, format).await,
        Command::Remove { channel } => {
            let path = format!("/alert-channels/{channel}");
            client.delete::<Value>(&path).await?;
            output::say(&format!(
                "Alerts are not sent to channel {channel} any more"
            ))
        }
        Command::Test { channel } => test(client, channel, format).await,
    }
}

async fn add_webhook(client: &Client, url: &Url, format: Format) -> Outcome {
    let wait = [("wait", STORED_WITHIN.to_owned())];
    let path = "/alert-channels/webhooks";
    let set: Answer<WebhookSet> = client.post(path, &wait, &json!({ "url": url })).await?;
    // Shown before anything can go wrong: it cannot be had again.
    match (format, &set.view.channel, &set.view.secret) {
        (Format::Json, _, _) => output::say_json(&set.json)?,
        (Format::Text, Some(channel), Some(secret)) => output::say(&format!(
            "{}\nSigned with {secret}\nKeep this secret with the receiver: it is not shown again.",
            added(channel)
        ))?,
        (Format::Text, _, _) => output::say("The webhook was removed meanwhile")?,
    }
    if set.view.job.state == JobState::Succeeded {
        return Ok(());
    }
    let following = follow::to_the_end(client, vec![set.view.job], format);
    following.await.map(drop)
}

async fn test(client: &Client, channel: AlertChannelId, format: Format) -> Outcome {
    let path = format!("/alert-channels/{channel}/test");
    let asked: Answer<Job> = client.post(&path, &[], &json!({})).await?;
    let id = asked.view.id;
    let verdict = follow::to_the_end(client, vec![asked.view], format).await;
    let ended: Answer<Value> = client.get(&format!("/jobs/{id}"), &[]).await?;
    match format {
        Format::Json => output::say_json(&ended.json)?,
        Format::Text if verdict.is_ok() => output::say(&became(&ended.json))?,
        Format::Text => {}
    }
    verdict.map(drop)
}

/// What became of a test message whose job succeeded: only a webhook says that it arrived.
fn became(job: &Value) -> String {
    let result = &job["result"];
    match result["sent"].as_bool() {
        Some(true) => "The test message arrived".to_owned(),
        Some(false) => {
            let why = result["why"].as_str().unwrap_or("the job does not say why");
            format!("No test message was sent: {why}")
        }
        None => "The test message was taken by the mail server".to_owned(),
    }
}

fn added(channel: &Channel) -> String {
    format!(
        "Alerts are sent to {} now (channel {})",
        channel.target(),
        channel.id
    )
}

fn list(answer: &Answer<Vec<Channel>>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    if answer.view.is_empty() {
        return output::say(
            "No channels: nobody is told of alerts. `patchbay alerts channels --help` says how to add one.",
        );
    }
    let row = |channel: &Channel| {
        [
            channel.id.to_string(),
            channel.kind.clone(),
            channel.target(),
            channel.state().to_owned(),
            channel
                .last_delivered_at
                .map_or_else(String::new, |at| time(Some(at))),
        ]
    };
    let rows: Vec<_> = answer.view.iter().map(row).collect();
    let header = ["ID", "KIND", "TO", "STATE", "LAST DELIVERED"];
    let mut lines = vec![output::table(header, &rows)];
    lines.extend(answer.view.iter().filter_map(trouble));
    output::say(&lines.join("\n"))
}

/// What went wrong last, unless a message arrived since.
fn trouble(channel: &Channel) -> Option<String> {
    let error = channel.last_error.as_ref()?;
    let is_over = channel.last_delivered_at > channel.last_error_at;
    (!is_over).then(|| {
        format!(
            "{}: {} ({}). {}",
            channel.id,
            error.message,
            time(channel.last_error_at),
            error.action
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(delivered: Option<&str>, failed: Option<&str>) -> Channel {
        let error = json!({ "message": "the receiver answered 410 Gone", "action": "Remove it." });
        serde_json::from_value(json!({
            "id": "019ab2c3-7d4e-7f00-8000-000000000000", "kind": "webhook",
            "connection_id": null, "to": [], "url": "https://hooks.example.com/",
            "secret_mask": "••••abc=", "disabled_at": failed,
            "last_delivered_at": delivered,
            "last_error": failed.map(|_| error), "last_error_at": failed,
        }))
        .unwrap()
    }

    #[test]
    fn trouble_is_told_until_a_message_arrives() {
        let (early, late) = ("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z");
        assert_eq!(trouble(&channel(Some(early), None)), None);
        assert_eq!(trouble(&channel(Some(late), Some(early))), None);
        for delivered in [None, Some(early)] {
            let told = trouble(&channel(delivered, Some(late))).unwrap();
            assert!(
                told.contains("410 Gone") && told.ends_with("Remove it."),
                "{told}"
            );
        }
    }

    #[test]
    fn a_test_message_arrived_only_where_that_is_known() {
        let told = |result: Value| became(&json!({ "result": result }));
        assert_eq!(
            told(json!({ "sent": true, "status": 204 })),
            "The test message arrived"
        );
        assert_eq!(
            told(json!({ "sent": false, "why": "the channel was removed" })),
            "No test message was sent: the channel was removed"
        );
        let of_mail = told(json!({ "server": "mx.example.com" }));
        assert!(of_mail.ends_with("taken by the mail server"), "{of_mail}");
    }

    #[test]
    fn a_state_is_one_word_a_person_knows() {
        let at = "2026-11-20T10:00:00Z";
        let mut one = channel(None, None);
        assert_eq!(one.state(), "in use");
        one.secret_mask = None;
        assert_eq!(one.state(), "pending");
        assert_eq!(channel(None, Some(at)).state(), "disabled");
    }
}
