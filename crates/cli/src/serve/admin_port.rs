//! The admin address of a process: `/healthz`, `/readyz`, `/metrics`, `/duties`. For probes and
//! operators; it shows no data of a tenant and takes no requests that change anything.

use std::{fmt::Write as _, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use patchbay_core::{config::Config, store::duties::DutyStatus};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{duty_words, listen, readiness::Readiness};
use crate::exit::Outcome;

/// Half of what the usual probe waits for its answer.
const PING_WITHIN: Duration = Duration::from_millis(500);

/// Serves the admin address, if one is set, until the stop.
pub async fn serve(
    config: &Config,
    process: &'static str,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> Outcome {
    let Some(address) = config.admin_listen else {
        return Ok(());
    };
    let listener = listen::on(address, "admin_listen").await?;
    let app = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(async move |State(readiness): State<Readiness>| metrics(process, &readiness)),
        )
        .route("/duties", get(duties))
        .with_state(readiness.clone());
    tracing::info!(address = %listener.local_addr()?, "admin address is up");
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
        {
            tracing::error!(%error, "the admin address stopped answering");
        }
    });
    Ok(())
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.answer() {
        Ok(mut remarks) => {
            remarks.extend(redis_away(&readiness).await);
            let remarks = remarks.iter().map(|remark| format!("but {remark}\n"));
            (
                StatusCode::OK,
                format!("ready\n{}", remarks.collect::<String>()),
            )
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// Without Redis everything is done, only later, so this is no reason to take a process away.
async fn redis_away(readiness: &Readiness) -> Option<String> {
    let hints = readiness.hints()?;
    match tokio::time::timeout(PING_WITHIN, hints.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) | Err(_) => Some("Redis is away: work goes on from the table".into()),
    }
}

/// What the scheduler's duties of this process last did.
async fn duties(State(readiness): State<Readiness>) -> Json<Value> {
    let duties = readiness.duties();
    Json(duties.iter().map(duty_words::document).collect())
}

/// Prometheus text format 0.0.4.
fn metrics(process: &str, readiness: &Readiness) -> String {
    let mut page = format!(
        "# TYPE patchbay_build_info gauge\npatchbay_build_info{{version=\"{}\",process=\"{process}\"}} 1\n\
         # TYPE patchbay_ready gauge\npatchbay_ready {}\n",
        env!("CARGO_PKG_VERSION"),
        u8::from(readiness.answer().is_ok()),
    );
    for (name, number) in readiness.counters() {
        write!(page, "# TYPE {name} counter\n{name} {number}\n").expect("a String takes all text");
    }
    page.push_str(&lags(&readiness.duties()));
    page.push_str(&breakers(&readiness.silent_hosts()));
    page
}

/// Hosts that are left alone because they do not answer. An origin has no character that a
/// label would have to escape.
fn breakers(silent: &[(String, String)]) -> String {
    let lines: String = silent
        .iter()
        .map(|(provider, origin)| {
            format!("patchbay_breaker_open{{provider=\"{provider}\",origin=\"{origin}\"}} 1\n")
        })
        .collect();
    match lines.is_empty() {
        true => lines,
        false => format!("# TYPE patchbay_breaker_open gauge\n{lines}"),
    }
}

/// How late each duty ran, and how long the oldest row that is due for it has waited.
fn lags(duties: &[DutyStatus]) -> String {
    let gauge = |name: &str, seconds: fn(&DutyStatus) -> Option<Duration>| {
        let lines: String = duties
            .iter()
            .filter_map(|duty| Some((duty, seconds(duty)?)))
            .map(|(duty, time)| {
                format!("{name}{{duty=\"{}\"}} {}\n", duty.duty, time.as_secs_f64())
            })
            .collect();
        match lines.is_empty() {
            true => lines,
            false => format!("# TYPE {name} gauge\n{lines}"),
        }
    };
    gauge("patchbay_scheduler_late_seconds", |duty| Some(duty.late))
        + &gauge("patchbay_scheduler_behind_seconds", |duty| duty.behind)
        + &gauge("patchbay_scheduler_run_seconds", |duty| Some(duty.took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::readiness::Running;

    struct Busy;

    impl Running for Busy {
        fn answer(&self) -> Result<Vec<String>, String> {
            Ok(vec!["hints are away".into()])
        }

        fn counters(&self) -> Vec<(String, u64)> {
            vec![("patchbay_worker_succeeded_total".into(), 7)]
        }

        fn silent_hosts(&self) -> Vec<(String, String)> {
            vec![("square".into(), "https://a.example".into())]
        }
    }

    #[test]
    fn the_setting_of_the_address_names_what_is_answered_there() {
        let mut settings = patchbay_core::config::SETTINGS.iter();
        let setting = settings.find(|setting| setting.key == "admin_listen");
        for path in ["/healthz", "/readyz", "/metrics", "/duties"] {
            let named = format!("`{path}`");
            assert!(setting.unwrap().doc.contains(&named), "{path}");
        }
    }

    #[tokio::test]
    async fn a_process_that_waits_is_not_ready_and_says_why() {
        let readiness = Readiness::default();
        readiness.waiting("the database does not answer");
        let (status, said) = ready(State(readiness.clone())).await;
        assert_eq!(
            (status.as_u16(), said.as_str()),
            (503, "the database does not answer\n")
        );
        assert!(metrics("worker", &readiness).contains("patchbay_ready 0\n"));
    }

    #[tokio::test]
    async fn a_running_process_shows_its_counters() {
        let readiness = Readiness::default();
        readiness.running(Busy);
        let (status, said) = ready(State(readiness.clone())).await;
        assert_eq!(
            (status.as_u16(), said.as_str()),
            (200, "ready\nbut hints are away\n")
        );
        let page = metrics("worker", &readiness);
        assert!(
            page.contains("patchbay_ready 1\n")
                && page.contains("\npatchbay_worker_succeeded_total 7\n")
                && page.contains(
                    "\npatchbay_breaker_open{provider=\"square\",origin=\"https://a.example\"} 1\n"
                ),
            "{page}"
        );
    }
}
