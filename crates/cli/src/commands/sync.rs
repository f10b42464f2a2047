//! `patchbay sync`: starts a sync, and follows it to its end where asked.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::{
    client::{
        Client,
        job::{Job, Jobs, name},
    },
    exit::Outcome,
    follow,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay sync square --follow                              every stream, what changed since the last sync
  patchbay sync square --stream sales --preset last-7-days --follow
  patchbay sync square --stream sales --mode range --from 2026-01-01 --to 2026-01-31
  patchbay sync square --stream catalog --mode full --follow  everything again

Without --follow it prints the jobs and ends; the work goes on in Patchbay.
With --follow it exits with 0 if every job succeeded, else with 7 (`patchbay help exit-codes`).")]
pub struct Arguments {
    /// Which connection, by id, name or provider
    connection: String,
    /// Only this stream; may be repeated [default: all]
    #[arg(long = "stream", value_name = "STREAM")]
    streams: Vec<String>,
    /// How much to pull [default: incremental; range where --from, --to or --preset is given]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Start of the range: a date (its beginning where each location is), or a time as RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "preset")]
    from: Option<String>,
    /// End of the range: a date (its end where each location is), or a time, exclusive [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "preset")]
    to: Option<String>,
    /// A range that ends now
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Show progress until the end
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// What changed since the last sync
    Incremental,
    /// What the provider dates within a range
    Range,
    /// Everything; what is gone at the provider is marked deleted
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    #[value(name = "last-24h")]
    Last24h,
    #[value(name = "last-7-days")]
    Last7Days,
}

impl Arguments {
    fn body(&self) -> Value {
        let has_range = self.from.is_some() || self.to.is_some() || self.preset.is_some();
        let mode = self.mode.unwrap_or(if has_range {
            Mode::Range
        } else {
            Mode::Incremental
        });
        let mode = match mode {
            Mode::Incremental => "incremental",
            Mode::Range => "range",
            Mode::Full => "full",
        };
        let preset = self.preset.map(|preset| match preset {
            Preset::Last24h => "last_24h",
            Preset::Last7Days => "last_7_days",
        });
        let mut body = Map::from_iter([("mode".to_owned(), json!(mode))]);
        if !self.streams.is_empty() {
            body.insert("streams".into(), json!(self.streams));
        }
        for (field, text) in [
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("preset", preset),
        ] {
            body.extend(text.map(|text| (field.to_owned(), json!(text))));
        }
        Value::Object(body)
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let connection = client.find_connection(&arguments.connection).await?.id;
    let started = client
        .post::<Jobs>(
            &format!("/connections/{connection}/sync"),
            &[],
            &arguments.body(),
        )
        .await?;
    if !arguments.follow {
        return match format {
            Format::Json => output::say_json(&started.json),
            Format::Text => {
                let row = |job: &Job| [job.id.to_string(), job.label(), name(job.state)];
                output::say(&output::table(
                    ["JOB", "STREAM", "STATE"],
                    &started.view.jobs.iter().map(row).collect::<Vec<_>>(),
                ))
            }
        };
    }
    let ids: Vec<_> = started.view.jobs.iter().map(|job| job.id).collect();
    let verdict = follow::to_the_end(client, started.view.jobs, format).await;
    if format == Format::Json {
        let mut documents = Vec::new();
        for id in ids {
            documents.push(client.get::<Value>(&format!("/jobs/{id}"), &[]).await?.json);
        }
        output::say_json(&json!({ "jobs": documents }))?;
    }
    verdict.map(drop)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sync: Arguments,
    }

    fn body(arguments: &[&str]) -> Value {
        Line::try_parse_from([&["sync", "square"], arguments].concat())
            .unwrap()
            .sync
            .body()
    }

    #[test]
    fn without_flags_every_stream_is_pulled_incrementally() {
        assert_eq!(body(&[]), json!({ "mode": "incremental" }));
    }

    #[test]
    fn a_range_makes_the_mode_a_range() {
        assert_eq!(
            body(&["--stream", "sales", "--from", "2026-01-01"]),
            json!({ "mode": "range", "streams": ["sales"], "from": "2026-01-01" })
        );
        assert_eq!(
            body(&["--preset", "last-7-days"]),
            json!({ "mode": "range", "preset": "last_7_days" })
        );
    }

    #[test]
    fn a_preset_and_a_start_exclude_each_other() {
        assert!(
            Line::try_parse_from([
                "sync",
                "square",
                "--preset",
                "last-7-days",
                "--from",
                "2026-01-01"
            ])
            .is_err()
        );
    }
}
