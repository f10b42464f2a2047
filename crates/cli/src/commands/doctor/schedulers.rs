//! The schedulers: does one run, do its duties work, and are schedules run in time?

use std::time::Duration;

use patchbay_core::store::{Store, duties::SchedulerStatus};

use super::Check;
use crate::serve::duty_words::short;

/// Schedules that wait longer than this are late enough to tell.
const LATE: Duration = Duration::from_secs(60);

pub async fn look(store: &Store) -> Check {
    let found = async {
        Ok::<_, patchbay_core::store::StoreError>((
            store.scheduler_statuses().await?,
            store.schedule_lag().await?,
        ))
    };
    match found.await {
        Ok((schedulers, lag)) => judge(&schedulers, lag),
        Err(error) => Check::broken("schedulers", error.to_string(), "run `patchbay migrate`"),
    }
}

fn judge(schedulers: &[SchedulerStatus], lag: Duration) -> Check {
    let alive: Vec<&SchedulerStatus> = schedulers.iter().filter(|one| one.alive).collect();
    if alive.is_empty() {
        return Check::warning(
            "schedulers",
            "none runs",
            "start one: `patchbay scheduler`, or `patchbay up`; without one no schedule runs",
        );
    }
    let failing = alive.iter().flat_map(|one| {
        let duties = one.duties.iter();
        duties.filter_map(|(duty, _)| {
            let error = duty.last_error.as_ref()?;
            Some(format!("`{}` on {}: {error}", duty.duty, one.process.host))
        })
    });
    let failing: Vec<String> = failing.collect();
    if !failing.is_empty() {
        let found = format!("duties fail: {}", failing.join("; "));
        return Check::warning("schedulers", found, "look at their logs");
    }
    let count = alive.len();
    let found = format!(
        "{count} alive; the oldest due schedule has waited for {}",
        short(lag)
    );
    if lag > LATE {
        return Check::warning(
            "schedulers",
            found,
            "`patchbay scheduler status` shows who is slow; any number of schedulers may run",
        );
    }
    Check::ok("schedulers", found)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use patchbay_core::{
        clock::SystemClock, entities::process, ids::ProcessId, store::duties::DutyStatus,
    };

    use super::*;
    use crate::commands::doctor::Status;

    fn scheduler(alive: bool, last_error: Option<&str>) -> SchedulerStatus {
        let at = DateTime::UNIX_EPOCH;
        let duty = DutyStatus {
            duty: "schedules".into(),
            last_run_at: at,
            last_success_at: None,
            took: Duration::ZERO,
            late: Duration::ZERO,
            behind: None,
            runs: 1,
            done: 0,
            errors: 0,
            last_error: last_error.map(str::to_owned),
        };
        SchedulerStatus {
            process: process::Model {
                id: ProcessId::new(&SystemClock),
                kind: "scheduler".into(),
                version: "1".into(),
                host: "one:7".into(),
                started_at: at,
                lease_until: at,
                ended_at: None,
                alone_with: None,
            },
            alive,
            duties: vec![(duty, at)],
        }
    }

    #[test]
    fn a_silent_failing_or_late_scheduler_is_told() {
        let judged =
            |alive, error, seconds| judge(&[scheduler(alive, error)], Duration::from_secs(seconds));
        assert_eq!(judged(true, None, 60).status, Status::Ok);
        assert_eq!(judged(false, None, 0).status, Status::Warning);
        assert_eq!(judged(true, None, 61).status, Status::Warning);
        let failing = judged(true, Some("out of order"), 0);
        assert!(
            failing.status == Status::Warning
                && failing.found.contains("`schedules` on one:7: out of order"),
            "{failing:?}"
        );
    }
}
