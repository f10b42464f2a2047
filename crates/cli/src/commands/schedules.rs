//! `patchbay schedules`: when the clock syncs, and what it did.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use patchbay_core::{
    ids::{ConnectionId, JobId, ScheduleId},
    schedule::{Misfire, SchedulePull, TickOutcome},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    client::{
        Answer, Client,
        job::{Job, name},
    },
    commands::connections::time,
    exit::Outcome,
    follow,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay schedules create square --stream sales --every 15m
  patchbay schedules create square --stream sales --cron '30 2 * * *' --time-zone Europe/Berlin --pull last-7-days
  patchbay schedules list square

A cron pattern has five fields: minute, hour, day of month, month, day of week.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List schedules with their next run (the default)
    List {
        /// Only of this connection, by id, name or provider
        connection: Option<String>,
    },
    /// Show one, with its next five runs
    Show { schedule: ScheduleId },
    /// Make one
    Create(Create),
    /// Stop one until it is resumed
    Pause { schedule: ScheduleId },
    /// Let a paused one go on; what passed meanwhile is not made up for
    Resume { schedule: ScheduleId },
    /// Run one now; its next times stay
    Run {
        schedule: ScheduleId,
        /// Show progress until the end
        #[arg(long)]
        follow: bool,
    },
    /// Delete one
    Delete { schedule: ScheduleId },
}

#[derive(Debug, Args)]
struct Create {
    /// Which connection, by id, name or provider
    connection: String,
    /// Key of the stream
    #[arg(long)]
    stream: String,
    /// The time from one run to the next: 15m, 6h, 1d
    #[arg(long, value_name = "TIME", required_unless_present = "cron")]
    every: Option<String>,
    /// A cron pattern of five fields
    #[arg(long, value_name = "PATTERN", conflicts_with = "every")]
    cron: Option<String>,
    /// The place whose clocks the pattern means [default: UTC]
    #[arg(long, value_name = "NAME", requires = "cron", conflicts_with = "every")]
    time_zone: Option<String>,
    /// How much each run pulls
    #[arg(long, value_enum, default_value = "incremental")]
    pull: Pull,
    /// What becomes of runs that were missed: none runs, the newest, or each (at most 100)
    #[arg(long, value_enum, default_value = "last")]
    misfire: Missed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pull {
    /// What changed since the last sync
    Incremental,
    /// Everything; what is gone at the provider is marked deleted
    Full,
    #[value(name = "last-24h")]
    Last24h,
    #[value(name = "last-7-days")]
    Last7Days,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Missed {
    Skip,
    Last,
    All,
}

impl Create {
    fn body(&self) -> Value {
        let pull = match self.pull {
            Pull::Incremental => SchedulePull::Incremental,
            Pull::Full => SchedulePull::Full,
            Pull::Last24h => SchedulePull::Last24h,
            Pull::Last7Days => SchedulePull::Last7Days,
        };
        let misfire = match self.misfire {
            Missed::Skip => Misfire::Skip,
            Missed::Last => Misfire::Last,
            Missed::All => Misfire::All,
        };
        let mut body = Map::from_iter([
            ("stream".to_owned(), json!(self.stream)),
            ("pull".to_owned(), json!(pull)),
            ("misfire".to_owned(), json!(misfire)),
        ]);
        for (field, text) in [
            ("every", &self.every),
            ("cron", &self.cron),
            ("time_zone", &self.time_zone),
        ] {
            body.extend(text.as_ref().map(|text| (field.to_owned(), json!(text))));
        }
        Value::Object(body)
    }
}

/// What people see of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Schedule {
    id: ScheduleId,
    connection_id: ConnectionId,
    stream: String,
    pull: SchedulePull,
    every: Option<String>,
    cron: Option<String>,
    time_zone: Option<String>,
    misfire: Misfire,
    state: String,
    note: Option<String>,
    next: Vec<DateTime<Utc>>,
    last: Option<Last>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Last {
    tick: DateTime<Utc>,
    outcome: TickOutcome,
    job_id: Option<JobId>,
}

impl Schedule {
    /// `every 15m`, `30 2 * * * Europe/Berlin`.
    fn when(&self) -> String {
        match (&self.every, &self.cron) {
            (Some(every), _) => format!("every {every}"),
            (None, Some(cron)) => {
                format!("{cron} {}", self.time_zone.as_deref().unwrap_or_default())
            }
            (None, None) => String::new(),
        }
    }

    fn last_words(&self) -> String {
        let Some(last) = &self.last else {
            return "never".into();
        };
        let job = last
            .job_id
            .map_or_else(String::new, |job| format!(", job {job}"));
        format!("{} {}{job}", time(Some(last.tick)), name(last.outcome))
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments
        .command
        .unwrap_or(Command::List { connection: None })
    {
        Command::List { connection } => list(client, connection, format).await,
        Command::Show { schedule } => show(
            &client.get(&format!("/schedules/{schedule}"), &[]).await?,
            format,
        ),
        Command::Create(create) => {
            let connection = client.find_connection(&create.connection).await?.id;
            let path = format!("/connections/{connection}/schedules");
            show(&client.post(&path, &[], &create.body()).await?, format)
        }
        Command::Pause { schedule } => switch(client, schedule, "pause", format).await,
        Command::Resume { schedule } => switch(client, schedule, "resume", format).await,
        Command::Run { schedule, follow } => {
            let path = format!("/schedules/{schedule}/run");
            let job: Answer<Job> = client.post(&path, &[], &json!({})).await?;
            if follow {
                return follow::to_the_end(client, vec![job.view], format)
                    .await
                    .map(drop);
            }
            match format {
                Format::Json => output::say_json(&job.json),
                Format::Text => {
                    output::say(&format!("Job {} is {}", job.view.id, name(job.view.state)))
                }
            }
        }
        Command::Delete { schedule } => {
            client
                .delete::<Value>(&format!("/schedules/{schedule}"))
                .await?;
            match format {
                Format::Json => output::say_json(&json!({ "deleted": schedule })),
                Format::Text => output::say("Deleted. Jobs that it made go on."),
            }
        }
    }
}

async fn switch(client: &Client, schedule: ScheduleId, verb: &str, format: Format) -> Outcome {
    let path = format!("/schedules/{schedule}/{verb}");
    show(&client.post(&path, &[], &json!({})).await?, format)
}

async fn list(client: &Client, connection: Option<String>, format: Format) -> Outcome {
    let path = match connection {
        Some(text) => {
            let connection = client.find_connection(&text).await?.id;
            format!("/connections/{connection}/schedules")
        }
        None => "/schedules".to_owned(),
    };
    let answer: Answer<Vec<Schedule>> = client.all(&path, &[]).await?;
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    if answer.view.is_empty() {
        return output::say("No schedules: `patchbay schedules --help` shows how to make one.");
    }
    let row = |schedule: &Schedule| {
        [
            schedule.id.to_string(),
            schedule.stream.clone(),
            name(schedule.pull),
            schedule.when(),
            schedule.state.clone(),
            time(schedule.next.first().copied()),
            schedule.last_words(),
        ]
    };
    output::say(&output::table(
        ["ID", "STREAM", "PULL", "WHEN", "STATE", "NEXT", "LAST"],
        &answer.view.iter().map(row).collect::<Vec<_>>(),
    ))
}

fn show(answer: &Answer<Schedule>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let schedule = &answer.view;
    let next: Vec<String> = schedule.next.iter().map(|at| time(Some(*at))).collect();
    let mut lines = vec![
        format!("Id          {}", schedule.id),
        format!("Connection  {}", schedule.connection_id),
        format!("Stream      {} ({})", schedule.stream, name(schedule.pull)),
        format!("When        {}", schedule.when()),
        format!("Missed runs {}", name(schedule.misfire)),
        format!("State       {}", schedule.state),
        format!("Last        {}", schedule.last_words()),
        format!("Next        {}", next.join("\n            ")),
    ];
    lines.extend(
        schedule
            .note
            .as_ref()
            .map(|note| format!("Note        {note}")),
    );
    output::say(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        schedules: Arguments,
    }

    fn body(arguments: &[&str]) -> Option<Value> {
        let line = [&["schedules", "create", "square"], arguments].concat();
        match Line::try_parse_from(line).ok()?.schedules.command? {
            Command::Create(create) => Some(create.body()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_period_or_a_pattern_is_sent_as_the_api_names_it() {
        assert_eq!(
            body(&["--stream", "sales", "--every", "15m"]),
            Some(
                json!({ "stream": "sales", "pull": "incremental", "misfire": "last", "every": "15m" })
            )
        );
        assert_eq!(
            body(&[
                "--stream",
                "sales",
                "--cron",
                "0 2 * * *",
                "--time-zone",
                "Europe/Berlin",
                "--pull",
                "last-7-days",
                "--misfire",
                "all"
            ]),
            Some(json!({
                "stream": "sales", "pull": "last_7_days", "misfire": "all",
                "cron": "0 2 * * *", "time_zone": "Europe/Berlin",
            }))
        );
    }

    #[test]
    fn neither_both_nor_a_place_without_a_pattern_is_sent() {
        assert_eq!(body(&["--stream", "sales"]), None);
        assert_eq!(
            body(&["--stream", "sales", "--every", "1h", "--cron", "0 2 * * *"]),
            None
        );
        assert_eq!(
            body(&["--stream", "sales", "--every", "1h", "--time-zone", "UTC"]),
            None
        );
    }
}
