//! `patchbay jobs`: list them, or look at and act on one.

use clap::{Args, Subcommand};
use patchbay_core::ids::JobId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client::{
        Answer, Client,
        job::{Job, name},
        pages::Page,
    },
    commands::connections::{advice, time},
    exit::Outcome,
    follow,
    output::{self, Format},
};

mod dead;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, newest first (the default)
    List(Filter),
    /// Show one
    Show { job: JobId },
    /// Print its log lines
    Logs { job: JobId },
    /// Follow one or more to their ends
    Watch {
        #[arg(required = true)]
        jobs: Vec<JobId>,
    },
    /// Stop one
    Cancel { job: JobId },
    /// Send a failed or quarantined one back to work
    Retry {
        job: JobId,
        /// Show progress until the end
        #[arg(long)]
        follow: bool,
    },
    /// What gave up, in groups that failed alike: list, show, retry, discard
    Dead(dead::Arguments),
}

#[derive(Debug, Args)]
struct Filter {
    /// Only in this state: queued, parked, running, succeeded, failed, cancelled, quarantined
    #[arg(long)]
    state: Option<String>,
    /// Only of this kind, such as sync
    #[arg(long)]
    kind: Option<String>,
    /// Only of this connection, by id, name or provider
    #[arg(long)]
    connection: Option<String>,
    /// Only those that gave up and wait for a person (the dead-letter queue)
    #[arg(long)]
    dead: bool,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

#[derive(Debug, Deserialize)]
struct LogLine {
    at: chrono::DateTime<chrono::Utc>,
    attempt: i32,
    level: String,
    message: String,
    fields: Value,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments.command.unwrap_or(Command::List(arguments.filter)) {
        Command::List(filter) => list(client, filter, format).await,
        Command::Show { job } => show(&client.get(&format!("/jobs/{job}"), &[]).await?, format),
        Command::Dead(arguments) => dead::run(client, arguments, format).await,
        Command::Logs { job } => logs(
            &client.all(&format!("/jobs/{job}/logs"), &[]).await?,
            format,
        ),
        Command::Watch { jobs } => {
            let mut found = Vec::new();
            for job in jobs {
                found.push(client.get::<Job>(&format!("/jobs/{job}"), &[]).await?.view);
            }
            follow::to_the_end(client, found, format).await.map(drop)
        }
        Command::Cancel { job } => show(
            &client
                .post(&format!("/jobs/{job}/cancel"), &[], &json!({}))
                .await?,
            format,
        ),
        Command::Retry { job, follow } => {
            let job: Answer<Job> = client
                .post(&format!("/jobs/{job}/retry"), &[], &json!({}))
                .await?;
            if follow {
                return follow::to_the_end(client, vec![job.view], format)
                    .await
                    .map(drop);
            }
            show(&job, format)
        }
    }
}

async fn list(client: &Client, filter: Filter, format: Format) -> Outcome {
    let connection = match &filter.connection {
        Some(text) => Some(client.find_connection(text).await?.id.to_string()),
        None => None,
    };
    let mut query = vec![("limit", filter.limit.to_string())];
    for (field, text) in [
        ("state", filter.state),
        ("kind", filter.kind),
        ("connection", connection),
    ] {
        query.extend(text.map(|text| (field, text)));
    }
    if filter.dead {
        query.push(("dead", "true".into()));
    }
    let page: Answer<Page<Job>> = client.get("/jobs", &query).await?;
    if format == Format::Json {
        return output::say_json(&page.json);
    }
    if page.view.data.is_empty() {
        return output::say("No jobs.");
    }
    let row = |job: &Job| {
        [
            job.id.to_string(),
            job.label(),
            name(job.state),
            follow::words::progress(job),
            job.created_at.format("%Y-%m-%d %H:%M").to_string(),
            job.failure_line().unwrap_or_default(),
        ]
    };
    output::say(&output::table(
        [
            "ID",
            "WHAT",
            "STATE",
            "PROGRESS",
            "ASKED FOR",
            "LAST FAILURE",
        ],
        &page.view.data.iter().map(row).collect::<Vec<_>>(),
    ))
}

fn show(answer: &Answer<Job>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let job = &answer.view;
    let mut lines = vec![
        format!("Id        {}", job.id),
        format!("Kind      {}", name(job.kind)),
        format!("State     {}", name(job.state)),
        format!("Asked     {}", time(Some(job.created_at))),
        format!("Attempts  {} of {}", job.attempt, job.max_attempts),
        format!("Arguments {}", job.args),
    ];
    lines.extend(job.connection_id.map(|id| format!("Connection {id}")));
    if job.progress.is_some() {
        lines.push(format!("Progress  {}", follow::words::line(job)));
    }
    if let Some(failure) = &job.error {
        let mut words = advice::lines(failure, job.connection_id).into_iter();
        lines.extend(words.next().map(|what| format!("Failure   {what}")));
        lines.extend(words.map(|line| format!("          {line}")));
    }
    output::say(&lines.join("\n"))
}

fn logs(answer: &Answer<Vec<LogLine>>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    for line in &answer.view {
        let fields = match &line.fields {
            Value::Object(fields) if !fields.is_empty() => format!("  {}", line.fields),
            _ => String::new(),
        };
        output::say(&format!(
            "{}  {:<5}  attempt {}  {}{fields}",
            line.at.format("%Y-%m-%d %H:%M:%S%.3f"),
            line.level,
            line.attempt,
            line.message
        ))?;
    }
    Ok(())
}
