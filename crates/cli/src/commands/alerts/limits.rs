//! `patchbay alerts limits`: from when on something is an alert.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    client::{Answer, Client},
    commands::connections::time,
    exit::Outcome,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay alerts limits
  patchbay alerts limits set --failures-in-a-row 5 --quiet-seconds 3600

A change holds from the next look of a scheduler on, within seconds; an alert that is none by the
new limits resolves by itself.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is in force (the default)
    Show,
    /// Change it; what is left out stays
    Set(Set),
}

#[derive(Debug, Args)]
struct Set {
    /// Failures of work with a connection in a row, 1 to 100; checks that find it failing count
    /// as three
    #[arg(long, value_name = "NUMBER")]
    failures_in_a_row: Option<u16>,
    /// How long the tick of a schedule has waited, 60 to 604800
    #[arg(long, value_name = "SECONDS")]
    schedule_lag_seconds: Option<u32>,
    /// How long a due job has waited for a worker, 60 to 604800
    #[arg(long, value_name = "SECONDS")]
    queue_age_seconds: Option<u32>,
    /// Of one alert there is no second message within this time, 60 to 604800
    #[arg(long, value_name = "SECONDS")]
    quiet_seconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Limits {
    failures_in_a_row: u16,
    schedule_lag_seconds: u64,
    queue_age_seconds: u64,
    quiet_seconds: u64,
    updated_at: Option<DateTime<Utc>>,
    updated_by: Option<String>,
}

impl Set {
    fn body(&self) -> Value {
        let fields = [
            ("failures_in_a_row", self.failures_in_a_row.map(u32::from)),
            ("schedule_lag_seconds", self.schedule_lag_seconds),
            ("queue_age_seconds", self.queue_age_seconds),
            ("quiet_seconds", self.quiet_seconds),
        ];
        let said = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
        Value::Object(said.collect::<Map<_, _>>())
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let answer: Answer<Limits> = match arguments.command.unwrap_or(Command::Show) {
        Command::Show => client.get("/alert-limits", &[]).await?,
        Command::Set(set) => client.put("/alert-limits", &set.body()).await?,
    };
    match format {
        Format::Json => output::say_json(&answer.json),
        Format::Text => output::say(&words(&answer.view)),
    }
}

fn words(limits: &Limits) -> String {
    let lines = [
        format!(
            "A connection      after {} failures in a row",
            limits.failures_in_a_row
        ),
        format!("Schedules         {} s late", limits.schedule_lag_seconds),
        format!("Jobs that wait    {} s due", limits.queue_age_seconds),
        format!(
            "Quiet period      {} s between two messages on one alert",
            limits.quiet_seconds
        ),
        match &limits.updated_by {
            Some(who) => format!("Changed           {} by {who}", time(limits.updated_at)),
            None => "Changed           never: these are the usual limits".to_owned(),
        },
    ];
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: Arguments,
    }

    #[test]
    fn what_is_said_is_sent_and_nothing_else() {
        let line = ["limits", "set", "--failures-in-a-row", "5"];
        let Some(Command::Set(set)) = Line::parse_from(line).limits.command else {
            panic!("it is `set`");
        };
        assert_eq!(set.body(), json!({ "failures_in_a_row": 5 }));
    }

    #[test]
    fn limits_say_whether_a_person_set_them() {
        let mut limits: Limits = serde_json::from_value(json!({
            "failures_in_a_row": 3, "schedule_lag_seconds": 300, "queue_age_seconds": 300,
            "quiet_seconds": 1800, "updated_at": null, "updated_by": null,
        }))
        .unwrap();
        let text = words(&limits);
        assert!(text.contains("after 3 failures in a row"), "{text}");
        assert!(text.contains("never: these are the usual"), "{text}");
        limits.updated_by = Some("api_key:1".into());
        assert!(words(&limits).contains("by api_key:1"));
    }
}
