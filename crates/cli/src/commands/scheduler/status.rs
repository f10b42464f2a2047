//! `patchbay scheduler status`: what the duties of every scheduler of the fleet last did,
//! read from the database, where each scheduler writes it every few seconds.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use patchbay_core::{
    clock::SystemClock,
    config::Config,
    store::{
        Store,
        duties::{DutyStatus, SchedulerStatus},
    },
};
use serde_json::{Value, json};

use crate::{
    exit::Outcome,
    output::{self, Format},
    serve::{database, duty_words},
};

pub async fn run(config: Config, format: Format) -> Outcome {
    let db = database::postgres(&config, "status").await?;
    let store = Store::new(db, Arc::new(SystemClock));
    let schedulers = store.scheduler_statuses().await?;
    let lags = Lags {
        schedules: store.schedule_lag().await?,
        checks: store.check_lag().await?,
    };
    let now = store.jobs().now().await?;
    match format {
        Format::Json => output::say_json(&json!({
            "schedules_behind_ms": lags.schedules.as_millis(),
            "checks_behind_ms": lags.checks.as_millis(),
            "schedulers": schedulers.iter().map(document).collect::<Vec<_>>(),
        })),
        Format::Text => output::say(&text(&schedulers, lags, now)),
    }
}

/// How long what is due for longest has waited, also where no scheduler runs to say so.
#[derive(Clone, Copy)]
struct Lags {
    schedules: Duration,
    /// For their tick, or for a worker.
    checks: Duration,
}

fn document(scheduler: &SchedulerStatus) -> Value {
    let duty = |(duty, reported_at): &(DutyStatus, DateTime<Utc>)| {
        let mut document = duty_words::document(duty);
        document["reported_at"] = json!(reported_at);
        document
    };
    json!({
        "process": scheduler.process.id,
        "kind": scheduler.process.kind,
        "host": scheduler.process.host,
        "version": scheduler.process.version,
        "started_at": scheduler.process.started_at,
        "alive": scheduler.alive,
        "duties": scheduler.duties.iter().map(duty).collect::<Vec<_>>(),
    })
}

fn text(schedulers: &[SchedulerStatus], lags: Lags, now: DateTime<Utc>) -> String {
    if schedulers.is_empty() {
        return "No scheduler runs: start one with `patchbay scheduler`. Without one no schedule runs, \
                and jobs of dead processes wait."
            .to_owned();
    }
    let row = |scheduler: &SchedulerStatus, duty: &DutyStatus| {
        let ago = |at: DateTime<Utc>| duty_words::short((now - at).to_std().unwrap_or_default());
        [
            scheduler.process.host.clone(),
            if scheduler.alive { "alive" } else { "silent" }.to_owned(),
            duty.duty.clone(),
            ago(duty.last_run_at),
            duty.last_success_at.map_or_else(|| "never".into(), ago),
            duty_words::short(duty.took),
            duty_words::short(duty.late),
            duty.behind.map_or_else(String::new, duty_words::short),
            duty.done.to_string(),
            duty.errors.to_string(),
            duty.last_error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = schedulers
        .iter()
        .flat_map(|scheduler| {
            let duties = scheduler.duties.iter();
            duties.map(move |(duty, _)| row(scheduler, duty))
        })
        .collect();
    let table = output::table(
        [
            "SCHEDULER",
            "STATE",
            "DUTY",
            "RAN",
            "WORKED",
            "TOOK",
            "LATE",
            "BEHIND",
            "DONE",
            "ERRORS",
            "LAST ERROR",
        ],
        &rows,
    );
    format!(
        "The oldest due schedule has waited for {}, the oldest due check of a connection for {}.\n\n{table}\n\nRAN and WORKED: how long ago. LATE: how much later \
         than planned. BEHIND: how long the oldest row that is due for it has waited.",
        duty_words::short(lags.schedules),
        duty_words::short(lags.checks)
    )
}
