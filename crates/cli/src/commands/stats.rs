//! `patchbay stats`: the organization in numbers.

use patchbay_core::job::{JobState, Queue};
use serde::Deserialize;

use crate::{
    client::{Answer, Client, job::name},
    exit::Outcome,
    output::{self, Format},
};

/// What people see of the numbers.
#[derive(Debug, Deserialize)]
struct Stats {
    totals: Totals,
    jobs: Vec<Jobs>,
    dead: i64,
    alerts: u64,
}

/// Connections that are not disconnected.
#[derive(Debug, Deserialize)]
struct Totals {
    total: i64,
    active: i64,
    error: i64,
    expired: i64,
    disabled: i64,
    pending: i64,
    healthy: i64,
    degraded: i64,
    failing: i64,
}

#[derive(Debug, Deserialize)]
struct Jobs {
    queue: Queue,
    state: JobState,
    count: i64,
}

pub async fn run(client: &Client, format: Format) -> Outcome {
    let answer: Answer<Stats> = client.get("/stats", &[]).await?;
    match format {
        Format::Json => output::say_json(&answer.json),
        Format::Text => output::say(&text(&answer.view)),
    }
}

fn text(stats: &Stats) -> String {
    let of = &stats.totals;
    let open = stats.jobs.iter().filter(|jobs| !jobs.state.is_end());
    let open: Vec<String> = open
        .map(|jobs| {
            format!(
                "{} {} in {}",
                jobs.count,
                name(jobs.state),
                name(jobs.queue)
            )
        })
        .collect();
    let open = match open.is_empty() {
        true => "none open".to_owned(),
        false => open.join(", "),
    };
    [
        format!("Connections  {}", of.total),
        format!(
            "Active       {} ({} healthy, {} degraded, {} failing)",
            of.active, of.healthy, of.degraded, of.failing
        ),
        format!("Error        {}", of.error),
        format!("Expired      {}", of.expired),
        format!("Disabled     {}", of.disabled),
        format!("Pending      {}", of.pending),
        format!("Jobs         {open}"),
        format!("Dead jobs    {}", stats.dead),
        format!("Alerts       {} not resolved", stats.alerts),
    ]
    .join("\n")
}
