//! A job's picture in words. Pure, so that what a person reads is tested.

use patchbay_core::job::{JobKind, JobState};

use crate::{client::job::Job, output::grouped};

/// Where a job stands: `1,200 of 2,015 records, 850/s`.
pub fn progress(job: &Job) -> String {
    let Some(progress) = &job.progress else {
        return String::new();
    };
    if progress.done == 0 && !job.state.is_end() {
        return String::new();
    }
    let total = progress
        .total
        .map_or_else(String::new, |total| format!(" of {}", grouped(total)));
    let rate = match progress.rate {
        Some(rate) if rate >= 1.0 && job.state == JobState::Running => {
            format!(", {}/s", grouped(whole(rate)))
        }
        Some(_) | None => String::new(),
    };
    format!("{}{total} {}{rate}", grouped(progress.done), progress.unit)
}

/// What a job is doing: its stage while it runs, else its state and why.
pub fn stage(job: &Job) -> String {
    match job.state {
        JobState::Running => job
            .progress
            .as_ref()
            .map_or_else(|| "starting".into(), |progress| progress.stage.clone()),
        JobState::Queued if job.attempt > 0 => {
            let why = job
                .failure_line()
                .map_or_else(String::new, |why| format!(": {why}"));
            format!(
                "tries again (attempt {} of {}){why}",
                job.attempt + 1,
                job.max_attempts
            )
        }
        JobState::Queued => "queued".into(),
        JobState::Parked => "waits until its connection works".into(),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Quarantined => {
            job.state_name()
        }
    }
}

/// One plain line: `catalog: fetching catalog, 1,200 of 2,015 records, 850/s`.
pub fn line(job: &Job) -> String {
    let parts = [stage(job), progress(job)];
    let told: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let counts = if job.state.is_end() {
        counts(job)
    } else {
        String::new()
    };
    format!("{}: {}{counts}{}", job.label(), told.join(", "), took(job))
}

/// Why a job that ended did not succeed, and how to go on.
pub fn why_not(job: &Job) -> String {
    let why = job.failure_line().unwrap_or_else(|| stage(job));
    let next = match (job.state, job.kind, job.connection_id) {
        // A test is asked for again with what it is to test.
        (JobState::Failed | JobState::Quarantined, kind, _) if kind != JobKind::ConnectionTest => {
            format!("\n  Again: `patchbay jobs retry {} --follow`", job.id)
        }
        (JobState::Parked, _, Some(connection)) => format!(
            "\n  It goes on when its connection works: `patchbay connections show {connection}` says what to do"
        ),
        _ => String::new(),
    };
    format!(
        "{} ({}) {}: {why}{next}",
        job.label(),
        job.id,
        job.state_name()
    )
}

fn counts(job: &Job) -> String {
    let counts = job
        .progress
        .iter()
        .flat_map(|progress| &progress.counts)
        .filter(|(_, count)| **count > 0);
    let told: Vec<String> = counts
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    if told.is_empty() {
        String::new()
    } else {
        format!(" ({})", told.join(", "))
    }
}

fn took(job: &Job) -> String {
    match (job.started_at, job.finished_at) {
        (Some(start), Some(end)) => {
            let tenths = (end - start).num_milliseconds().max(0) / 100;
            format!(", in {}.{} s", tenths / 10, tenths % 10)
        }
        (None, _) | (_, None) => String::new(),
    }
}

fn whole(rate: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is above 0 and far below 2^64; a wrong one is only displayed"
    )]
    let whole = rate.round() as u64;
    whole
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub fn job(state: &str, progress: &serde_json::Value) -> Job {
        let ended = ["succeeded", "failed"].contains(&state);
        serde_json::from_value(json!({
            "id": "019ab2c3-7d4e-7f00-8000-000000000001", "kind": "sync", "state": state, "queue": "sync",
            "connection_id": null, "args": { "stream": "catalog" }, "progress": progress,
            "result": null, "attempt": 0, "max_attempts": 4,
            "error": if state == "failed" {
                json!({ "kind": "auth", "message": "Square refused the token.", "action": "Set a new one.", "code": null })
            } else {
                json!(null)
            },
            "created_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:01Z",
            "finished_at": ended.then_some("2026-01-01T00:00:03.450Z"),
        }))
        .unwrap()
    }

    pub fn picture(done: u64, total: Option<u64>) -> serde_json::Value {
        json!({ "stage": "fetching catalog", "done": done, "total": total, "unit": "records", "rate": 849.6,
                "counts": { "changed": done, "unchanged": 0 } })
    }

    #[test]
    fn a_running_job_tells_stage_count_total_and_rate() {
        assert_eq!(
            line(&job("running", &picture(1_200, Some(2_015)))),
            "catalog: fetching catalog, 1,200 of 2,015 records, 850/s"
        );
    }

    #[test]
    fn a_job_that_ended_tells_counts_and_time() {
        assert_eq!(
            line(&job("succeeded", &picture(2_015, None))),
            "catalog: succeeded, 2,015 records (2,015 changed), in 2.4 s"
        );
    }

    #[test]
    fn a_failed_job_tells_what_happened_and_what_to_do() {
        assert_eq!(
            why_not(&job("failed", &json!(null))),
            "catalog (019ab2c3-7d4e-7f00-8000-000000000001) failed: Square refused the token. Set a new one.\n  \
             Again: `patchbay jobs retry 019ab2c3-7d4e-7f00-8000-000000000001 --follow`"
        );
    }

    #[test]
    fn a_job_without_progress_has_a_line_too() {
        assert_eq!(line(&job("queued", &json!(null))), "catalog: queued");
    }
}
