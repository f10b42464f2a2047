//! `patchbay jobs dead`: what gave up, in groups that failed alike, and what to do with many
//! at once.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use patchbay_core::ids::JobId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    client::{Answer, Client, job::Job, pages::Page},
    commands::{connections::time, keys::typed},
    exit::{Outcome, Stop},
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay jobs dead
  patchbay jobs dead retry sync:square:provider_down:1f0c2a9b --dry-run
  patchbay jobs dead retry sync:square:provider_down:1f0c2a9b --rate 5
  patchbay jobs dead discard --all")]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what failed alike, the group that grew last first (the default)
    List {
        /// At most so many groups
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
    },
    /// List the jobs of a group, newest first
    Show {
        /// The group, as `list` names it
        group: String,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
    },
    /// Send one, a group or all back to work
    Retry {
        #[command(flatten)]
        which: Which,
        /// Jobs a second, so that the provider is not asked by all of them at once
        #[arg(long, default_value_t = 10.0)]
        rate: f64,
    },
    /// Take one, a group or all out of the dead-letter queue
    Discard {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// A job by its id, or a group as `list` names it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    which: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// With --all, in a script: `all`
    #[arg(long, value_name = "TEXT", requires = "all", conflicts_with = "which")]
    yes_i_mean: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
    total_groups: i64,
    total_jobs: i64,
}

#[derive(Debug, Deserialize)]
struct Group {
    group: String,
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    example: Option<Job>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Retried {
    dry_run: bool,
    matched: i64,
    retried: i64,
    skipped: Skipped,
    left: i64,
    ends_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Skipped {
    secret_gone: i64,
    already_open: i64,
    superseded: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Discarded {
    dry_run: bool,
    matched: i64,
    discarded: i64,
    left: i64,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments.command.unwrap_or(Command::List { limit: 50 }) {
        Command::List { limit } => list(client, limit, format).await,
        Command::Show { group, limit } => show(client, group, limit, format).await,
        Command::Retry { which, rate } => retry(client, which, rate, format).await,
        Command::Discard { which } => discard(client, which, format).await,
    }
}

async fn list(client: &Client, limit: u16, format: Format) -> Outcome {
    let query = [("limit", limit.to_string())];
    let answer: Answer<Groups> = client.get("/dead-jobs", &query).await?;
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let dead = &answer.view;
    if dead.groups.is_empty() {
        return output::say("No dead jobs.");
    }
    let row = |group: &Group| {
        let example = group.example.as_ref();
        [
            group.group.clone(),
            group.count.to_string(),
            time(Some(group.first_at)),
            time(Some(group.last_at)),
            example.and_then(Job::failure_line).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = dead.groups.iter().map(row).collect();
    output::say(&output::table(
        ["GROUP", "JOBS", "FIRST", "LAST", "SUCH AS"],
        &rows,
    ))?;
    output::say(&format!(
        "{} jobs in {} groups. `patchbay jobs dead show GROUP` lists one.",
        dead.total_jobs, dead.total_groups
    ))
}

async fn show(client: &Client, group: String, limit: u16, format: Format) -> Outcome {
    let query = [("group", group), ("limit", limit.to_string())];
    let page: Answer<Page<Job>> = client.get("/jobs", &query).await?;
    if format == Format::Json {
        return output::say_json(&page.json);
    }
    if page.view.data.is_empty() {
        return output::say("No dead jobs in this group.");
    }
    let row = |job: &Job| {
        [
            job.id.to_string(),
            job.label(),
            time(job.finished_at),
            format!("{} of {}", job.attempt, job.max_attempts),
            job.failure_line().unwrap_or_default(),
        ]
    };
    output::say(&output::table(
        ["ID", "WHAT", "DIED", "ATTEMPTS", "FAILURE"],
        &page.view.data.iter().map(row).collect::<Vec<_>>(),
    ))
}

async fn retry(client: &Client, which: Which, rate: f64, format: Format) -> Outcome {
    if let Some(job) = which.job() {
        return one(client, job, "retry", format).await;
    }
    which.confirm("Every dead job of the organization goes back to work.")?;
    let mut sum = Retried::default();
    let mut start_at: Option<DateTime<Utc>> = None;
    loop {
        let mut body = which.body();
        body.insert("rate".into(), json!(rate));
        body.extend(start_at.map(|at| ("start_at".into(), json!(at))));
        let done: Retried = ask(client, "/dead-jobs/retry", &which, body).await?;
        sum = Retried {
            retried: sum.retried + done.retried,
            matched: sum.matched.max(done.matched),
            ..done
        };
        start_at = sum.ends_at;
        if sum.dry_run || sum.left == 0 {
            break;
        }
    }
    if format == Format::Json {
        return output::say_json(&sum);
    }
    let verb = if sum.dry_run { "would go" } else { "go" };
    let mut lines = vec![format!(
        "{} of {} jobs {verb} back to work.",
        sum.retried, sum.matched
    )];
    for (count, why) in [
        (
            sum.skipped.secret_gone,
            "their secret is no longer kept: send the credential again",
        ),
        (
            sum.skipped.already_open,
            "the same work waits or runs already",
        ),
        (sum.skipped.superseded, "a newer job does the same work"),
    ] {
        if count > 0 {
            lines.push(format!("{count} stay: {why}."));
        }
    }
    output::say(&lines.join("\n"))
}

async fn discard(client: &Client, which: Which, format: Format) -> Outcome {
    if let Some(job) = which.job() {
        return one(client, job, "discard", format).await;
    }
    which.confirm("Every dead job of the organization leaves the dead-letter queue.")?;
    let mut sum = Discarded::default();
    loop {
        let done: Discarded = ask(client, "/dead-jobs/discard", &which, which.body()).await?;
        sum = Discarded {
            discarded: sum.discarded + done.discarded,
            matched: sum.matched.max(done.matched),
            ..done
        };
        if sum.dry_run || sum.left == 0 {
            break;
        }
    }
    if format == Format::Json {
        return output::say_json(&sum);
    }
    let verb = if sum.dry_run { "would be" } else { "are" };
    output::say(&format!("{} jobs {verb} discarded.", sum.discarded))
}

async fn one(client: &Client, job: JobId, verb: &str, format: Format) -> Outcome {
    let path = format!("/jobs/{job}/{verb}");
    super::show(&client.post(&path, &[], &json!({})).await?, format)
}

async fn ask<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    which: &Which,
    body: Map<String, Value>,
) -> Outcome<T> {
    let query = [("dry_run", which.dry_run.to_string())];
    let answer: Answer<T> = client.post(path, &query, &Value::Object(body)).await?;
    Ok(answer.view)
}

impl Which {
    fn job(&self) -> Option<JobId> {
        self.which.as_ref()?.parse().ok()
    }

    fn body(&self) -> Map<String, Value> {
        let field = match &self.which {
            Some(group) => ("group".to_owned(), json!(group)),
            None => ("all".to_owned(), json!(true)),
        };
        Map::from_iter([field])
    }

    fn confirm(&self, warning: &str) -> Result<(), Stop> {
        if self.dry_run || !self.all {
            return Ok(());
        }
        typed::confirm(warning, "the word", "all", self.yes_i_mean.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        dead: Arguments,
    }

    fn which(arguments: &[&str]) -> Option<Which> {
        let line = [&["dead", "discard"], arguments].concat();
        match Line::try_parse_from(line).ok()?.dead.command? {
            Command::Discard { which } => Some(which),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_job_a_group_or_all_is_named_and_never_none_of_them() {
        let job = "019ab2c3-7d4e-7f00-8000-000000000000";
        assert!(which(&[job]).unwrap().job().is_some());
        let group = which(&["sync:square:timeout:00000000"]).unwrap();
        assert_eq!(group.job(), None);
        assert_eq!(
            Value::Object(group.body()),
            json!({ "group": "sync:square:timeout:00000000" })
        );
        assert_eq!(
            Value::Object(which(&["--all"]).unwrap().body()),
            json!({ "all": true })
        );
        for wrong in [
            &[][..],
            &["--all", "a group"],
            &["a group", "--yes-i-mean", "all"],
        ] {
            assert!(which(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn all_of_them_is_meant_or_nothing_is_done() {
        let confirmed = |arguments: &[&str]| which(arguments).unwrap().confirm("All.").is_ok();
        assert!(confirmed(&["--all", "--yes-i-mean", "all"]));
        assert!(confirmed(&["--all", "--dry-run"]));
        assert!(confirmed(&["a group"]));
        assert!(!confirmed(&["--all", "--yes-i-mean", "some"]));
    }
}
