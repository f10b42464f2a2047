//! `patchbay retry-policy`: how failed work is tried again.

use clap::{Args, Subcommand, ValueEnum};
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
  patchbay retry-policy
  patchbay retry-policy set --max-retries 5 --kind linear --base-seconds 10 --cap-seconds 120
  patchbay retry-policy set --dead-letters off

A change takes effect on the next failure of any job, also of one that runs or waits already.")]
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
    /// Of what
    #[arg(long, value_enum, default_value = "jobs")]
    scope: Scope,
    /// Retries after the first attempt, 0 to 20
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=20))]
    max_retries: Option<u16>,
    /// How the wait grows; standard-webhooks is for webhooks only
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The wait before the first retry, 0.1 to 86400
    #[arg(long, value_name = "SECONDS")]
    base_seconds: Option<f64>,
    /// No wait is longer, 0.1 to 86400
    #[arg(long, value_name = "SECONDS")]
    cap_seconds: Option<f64>,
    /// Shorten each wait at random, down to half
    #[arg(long, value_enum)]
    jitter: Option<Switch>,
    /// Keep what gave up in the dead-letter queue
    #[arg(long, value_enum)]
    dead_letters: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    Jobs,
    Webhooks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Doubles
    Exponential,
    /// Grows by the base
    Linear,
    /// Always the base
    Fixed,
    /// The schedule of that standard
    StandardWebhooks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Deserialize)]
struct Policies {
    jobs: Policy,
    webhooks: Policy,
}

#[derive(Debug, Deserialize)]
struct Policy {
    max_retries: u16,
    kind: String,
    jitter: bool,
    dead_letters: bool,
    delays_seconds: Vec<f64>,
    updated_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Set {
    fn body(&self) -> Value {
        let kind = self.kind.map(|kind| match kind {
            Kind::Exponential => "exponential",
            Kind::Linear => "linear",
            Kind::Fixed => "fixed",
            Kind::StandardWebhooks => "standard_webhooks",
        });
        let fields = [
            ("max_retries", self.max_retries.map(|number| json!(number))),
            ("kind", kind.map(|kind| json!(kind))),
            ("base_seconds", self.base_seconds.map(|time| json!(time))),
            ("cap_seconds", self.cap_seconds.map(|time| json!(time))),
            (
                "jitter",
                self.jitter.map(|switch| json!(switch == Switch::On)),
            ),
            (
                "dead_letters",
                self.dead_letters.map(|switch| json!(switch == Switch::On)),
            ),
        ];
        let said = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let scope = match self.scope {
            Scope::Jobs => "jobs",
            Scope::Webhooks => "webhooks",
        };
        json!({ scope: Value::Object(said.collect::<Map<_, _>>()) })
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let answer: Answer<Policies> = match arguments.command.unwrap_or(Command::Show) {
        Command::Show => client.get("/retry-policy", &[]).await?,
        Command::Set(set) => client.put("/retry-policy", &set.body()).await?,
    };
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let row = |scope: &str, policy: &Policy| {
        let waits: Vec<String> = policy.delays_seconds.iter().map(f64::to_string).collect();
        let on = |on: bool| if on { "on" } else { "off" };
        [
            scope.to_owned(),
            policy.max_retries.to_string(),
            policy.kind.clone(),
            waits.join(" "),
            on(policy.jitter).to_owned(),
            on(policy.dead_letters).to_owned(),
            policy
                .updated_at
                .map_or_else(|| "never".into(), |at| time(Some(at))),
        ]
    };
    let rows = [
        row("jobs", &answer.view.jobs),
        row("webhooks", &answer.view.webhooks),
    ];
    output::say(&output::table(
        [
            "OF",
            "RETRIES",
            "KIND",
            "WAITS (SECONDS)",
            "JITTER",
            "DEAD LETTERS",
            "CHANGED",
        ],
        &rows,
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        policy: Arguments,
    }

    #[test]
    fn what_is_said_is_sent_and_nothing_else() {
        let line = [
            "retry-policy",
            "set",
            "--scope",
            "webhooks",
            "--max-retries",
            "0",
            "--jitter",
            "off",
            "--kind",
            "standard-webhooks",
        ];
        let Some(Command::Set(set)) = Line::parse_from(line).policy.command else {
            panic!("it is `set`");
        };
        assert_eq!(
            set.body(),
            json!({ "webhooks": { "max_retries": 0, "jitter": false, "kind": "standard_webhooks" } })
        );
    }
}
