//! `patchbay connections health` and `check`: how connections have been doing, and a look now.

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use patchbay_core::{connection::Health, failure::Failure};
use serde::Deserialize;
use serde_json::json;

use super::{advice, show_by_id, time};
use crate::{
    client::{
        Answer, Client,
        connection::Connection,
        job::{Job, Jobs, name},
    },
    exit::{Outcome, Stop},
    follow,
    output::{self, Format},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// By id, name or provider
    connection: String,
    /// Over which time
    #[arg(long, value_enum, default_value_t)]
    window: Window,
}

/// Windows that the API knows.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Window {
    #[value(name = "1h")]
    Hour,
    #[default]
    #[value(name = "24h")]
    Day,
    #[value(name = "7d")]
    Week,
    #[value(name = "30d")]
    Month,
}

impl Window {
    fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// By id, name or provider
    #[arg(required_unless_present = "all")]
    connection: Option<String>,
    /// Every connection that is not switched off
    #[arg(long, conflicts_with = "connection")]
    all: bool,
}

#[derive(Debug, Deserialize)]
struct Picture {
    health: Health,
    checks: u64,
    failed: u64,
    uptime: Option<f64>,
    error_rate: Option<f64>,
    latency: Option<Latency>,
    errors: Vec<Failed>,
    next_check_at: Option<DateTime<Utc>>,
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p50_ms: u64,
    p95_ms: u64,
    max_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Failed {
    at: DateTime<Utc>,
    kind: String,
    failure: Failure,
}

/// Prints the numbers of a window and the last failed checks.
pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let id = client.find_connection(&arguments.connection).await?.id;
    let query = [("window", arguments.window.name().to_owned())];
    let answer: Answer<Picture> = client
        .get(&format!("/connections/{id}/health"), &query)
        .await?;
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    output::say(&lines(&answer.view, arguments.window).join("\n"))
}

fn lines(picture: &Picture, window: Window) -> Vec<String> {
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0))
    };
    let connection = &picture.connection;
    let mut lines = vec![format!("Health      {}", name(picture.health))];
    if let Some(reason) = &connection.health_reason {
        let words = advice::lines(reason, Some(connection.id));
        lines.extend(words.into_iter().map(|line| format!("            {line}")));
    }
    lines.extend([
        format!("Window      {}", window.name()),
        format!("Checks      {}, {} failed", picture.checks, picture.failed),
        format!("Uptime      {}", percent(picture.uptime)),
        format!("Error rate  {}", percent(picture.error_rate)),
        format!(
            "Response    {}",
            picture.latency.as_ref().map_or_else(
                || "-".to_owned(),
                |times| format!(
                    "p50 {} ms, p95 {} ms, longest {} ms",
                    times.p50_ms, times.p95_ms, times.max_ms
                )
            )
        ),
        format!("Last check  {}", time(picture.connection.last_checked_at)),
        format!(
            "Next check  {}",
            picture
                .next_check_at
                .map_or_else(|| "none".to_owned(), |at| time(Some(at)))
        ),
    ]);
    for error in &picture.errors {
        lines.push(format!("\n{}  {}", time(Some(error.at)), error.kind));
        let words = advice::lines(&error.failure, Some(picture.connection.id));
        lines.extend(words.into_iter().map(|line| format!("  {line}")));
    }
    lines
}

/// Checks one connection, or all of them, and waits for the outcome.
pub async fn check(client: &Client, arguments: CheckArguments, format: Format) -> Outcome {
    let Some(connection) = arguments.connection else {
        let asked: Answer<Jobs> = client.post("/check-all", &[], &json!({})).await?;
        if asked.view.jobs.is_empty() {
            return output::say("There is no connection to check.");
        }
        follow::to_the_end(client, asked.view.jobs, format).await?;
        return super::list(client.connections().await?, format);
    };
    let id = client.find_connection(&connection).await?.id;
    let job: Answer<Job> = client
        .post(&format!("/connections/{id}/check"), &[], &json!({}))
        .await?;
    follow::to_the_end(client, vec![job.view], format).await?;
    show_by_id(client, id, format).await
}

/// Minutes from one check to the next, as a flag takes them.
pub fn interval(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(minutes @ 1..=60) => Ok(minutes),
        Ok(_) | Err(_) => Err(Stop::usage("must be from 1 to 60 minutes").to_string()),
    }
}
