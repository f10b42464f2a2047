//! `patchbay connections`: list them, or do something with one.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use patchbay_core::{connection::ConnectionStatus, ids::ConnectionId};

use super::consent;
use crate::{
    client::{
        Answer, Client,
        connection::{Connection, Usage, UsageWindow},
        job::{Job, name},
    },
    exit::Outcome,
    follow,
    output::{self, Format},
};

pub mod advice;
mod health;
pub mod tested;
mod update;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List connections (the default)
    List,
    /// Show one
    Show {
        /// By id, name or provider
        connection: String,
    },
    /// Change one: its name at once, its credential and config once they pass a test
    Update(update::Arguments),
    /// Connect one again by consent: print an address to open in a browser, and wait
    Reconnect {
        /// By id or name
        connection: String,
    },
    /// Ask the provider whether the credential works
    Test {
        /// By id, name or provider
        connection: String,
    },
    /// Show how one has been doing: uptime, response times, errors and what to do about them
    Health(health::Arguments),
    /// Check now whether one works, or all of them
    Check(health::CheckArguments),
    /// Switch one on; its parked work goes on
    Enable {
        /// By id, name or provider
        connection: String,
    },
    /// Switch one off; its work is parked
    Disable {
        /// By id, name or provider
        connection: String,
    },
    /// Drop the credential of one; its records stay
    Disconnect {
        /// By id or name
        connection: String,
    },
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments.command.unwrap_or(Command::List) {
        Command::List => list(client.connections().await?, format),
        Command::Show { connection } => {
            let id = client.find_connection(&connection).await?.id;
            show_by_id(client, id, format).await
        }
        Command::Update(arguments) => update::run(client, arguments, format).await,
        Command::Reconnect { connection } => {
            let found = client.find_connection(&connection).await?;
            let body = serde_json::json!({ "connection_id": found.id });
            let connected = consent::follow(client, &found.provider, &body, format).await?;
            consent::say(&connected, format)
        }
        Command::Test { connection } => {
            let id = client.find_connection(&connection).await?.id;
            let job: Answer<Job> = client
                .post(
                    &format!("/connections/{id}/test"),
                    &[],
                    &serde_json::json!({}),
                )
                .await?;
            follow::to_the_end(client, vec![job.view], format).await?;
            show_by_id(client, id, format).await
        }
        Command::Health(arguments) => health::run(client, arguments, format).await,
        Command::Check(arguments) => health::check(client, arguments, format).await,
        Command::Enable { connection } => switch(client, &connection, "enable", format).await,
        Command::Disable { connection } => switch(client, &connection, "disable", format).await,
        Command::Disconnect { connection } => {
            let id = client.find_connection(&connection).await?.id;
            client
                .delete::<serde_json::Value>(&format!("/connections/{id}"))
                .await?;
            show_by_id(client, id, format).await
        }
    }
}

async fn switch(client: &Client, connection: &str, verb: &str, format: Format) -> Outcome {
    let id = client.find_connection(connection).await?.id;
    client
        .post::<serde_json::Value>(
            &format!("/connections/{id}/{verb}"),
            &[],
            &serde_json::json!({}),
        )
        .await?;
    show_by_id(client, id, format).await
}

fn list(answer: Answer<Vec<Connection>>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    if answer.view.is_empty() {
        return output::say("No connections yet: `patchbay connect --help` shows how to make one.");
    }
    let row = |connection: &Connection| {
        [
            connection.id.to_string(),
            connection.name.clone(),
            connection.provider.clone(),
            name(connection.status),
            name(connection.health),
            connection.account_name.clone().unwrap_or_default(),
            time(connection.last_synced_at),
            time(connection.last_checked_at),
        ]
    };
    output::say(&output::table(
        [
            "ID",
            "NAME",
            "PROVIDER",
            "STATUS",
            "HEALTH",
            "ACCOUNT",
            "LAST SYNC",
            "LAST CHECK",
        ],
        &answer.view.iter().map(row).collect::<Vec<_>>(),
    ))
}

async fn show_by_id(client: &Client, id: ConnectionId, format: Format) -> Outcome {
    let answer = client.get(&format!("/connections/{id}"), &[]).await?;
    show(&answer, format)
}

fn show(answer: &Answer<Connection>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let connection = &answer.view;
    let mut lines = vec![
        format!("Id         {}", connection.id),
        format!("Name       {}", connection.name),
        format!("Provider   {}", connection.provider),
        format!("Status     {}", name(connection.status)),
        format!("Health     {}", name(connection.health)),
    ];
    let reason = connection.health_reason.as_ref();
    if let Some(reason) = reason {
        let words = advice::lines(reason, Some(connection.id));
        lines.extend(words.into_iter().map(|line| format!("           {line}")));
    }
    lines.extend([
        format!(
            "Account    {}",
            connection
                .account_name
                .as_deref()
                .unwrap_or("not known yet")
        ),
        format!("Config     {}", connection.config),
        format!("Last sync  {}", time(connection.last_synced_at)),
        format!(
            "Last check {}{}",
            time(connection.last_checked_at),
            connection
                .health_interval_minutes
                .map_or_else(String::new, |minutes| format!(", every {minutes} min"))
        ),
        format!("Worked     {}", time(connection.last_success_at)),
    ]);
    lines.extend(connection.usage.iter().flat_map(usage));
    if let Some(failure) = &connection.last_error {
        let words = advice::lines(failure, Some(connection.id));
        let mut words = words.into_iter();
        lines.extend(words.next().map(|what| format!("Last error {what}")));
        // What is over needs nothing done.
        if connection.error_count > 0 {
            lines.push(format!(
                "           {} since it last worked, the last at {}",
                connection.error_count,
                time(connection.last_error_at)
            ));
            // Said above, if it is why the health is what it is.
            if reason != Some(failure) {
                lines.extend(words.map(|line| format!("           {line}")));
            }
        }
    }
    lines.extend(next_step(connection).map(|step| format!("Next       {step}")));
    output::say(&lines.join("\n"))
}

/// How much of its limits a connection has used.
fn usage(usage: &Usage) -> [String; 2] {
    let window = |name: &str, window: &UsageWindow| {
        let limit = match window.limit {
            Some(limit) => format!("of {limit} "),
            None => String::new(),
        };
        format!(
            "{name:<10} {} {limit}{}, counted anew at {}",
            window.used,
            usage.unit,
            time(Some(window.resets_at))
        )
    };
    [
        window("This hour", &usage.hour),
        window("Today", &usage.day),
    ]
}

/// What makes a connection work that does not.
fn next_step(connection: &Connection) -> Option<String> {
    let id = connection.id;
    match connection.status {
        ConnectionStatus::Active => None,
        ConnectionStatus::Expired => Some(format!("`patchbay connections reconnect {id}`")),
        ConnectionStatus::Pending | ConnectionStatus::Error => Some(format!(
            "`patchbay connections update {id} --secret FIELD=SOURCE` with a credential that works"
        )),
        ConnectionStatus::Disabled => Some(format!("`patchbay connections enable {id}`")),
        ConnectionStatus::Disconnected => Some(format!(
            "`patchbay connections reconnect {id}` by consent, or `patchbay connections update {id} --secret \
             FIELD=SOURCE`; it then goes on where it stood"
        )),
    }
}

/// Minutes are enough for people; JSON has it exact.
pub fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "never".into(),
        |at| at.format("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
