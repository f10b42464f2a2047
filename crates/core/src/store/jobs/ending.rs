//! What a settlement writes, said once for both databases.

use std::time::Duration;

use serde_json::Value;

use crate::{
    failure::{Failure, FailureKind},
    job::{CRASHES_TO_QUARANTINE, JobState, Settle},
    store::StoreError,
};

/// Nobody would ever unpark a job without a connection, so it is tried again after this.
const PARK_WITHOUT_CONNECTION: Duration = Duration::from_secs(60);

/// A job that wants to park although its connection is active is tried again after this:
/// the connection changed meanwhile, or the refusal was not written down and the next
/// one will be.
pub(super) const PARK_UNDER_ACTIVE: Duration = Duration::from_secs(5);

/// The columns that a settlement sets.
#[derive(Debug)]
pub(super) struct Ending {
    /// `Parked` is only a wish: the statement looks at the connection.
    pub state: JobState,
    /// Until it is due again. Of a park: only where there is no connection to wait for.
    pub delay: Duration,
    /// Attempts it costs.
    pub burns: i32,
    /// JSON.
    pub result: Option<String>,
    /// JSON; `None` leaves what is there.
    pub error: Option<String>,
    /// Version of the credential that was refused.
    pub refused: Option<i64>,
}

impl Ending {
    pub(super) fn of(settle: &Settle) -> Result<Self, StoreError> {
        let back = |delay, burns, error| Self {
            state: JobState::Queued,
            delay,
            burns,
            result: None,
            error,
            refused: None,
        };
        Ok(match settle {
            Settle::Succeed { result } => Self {
                state: JobState::Succeeded,
                delay: Duration::ZERO,
                burns: 0,
                result: Some(json_text(result)),
                error: None,
                refused: None,
            },
            Settle::Retry { delay, failure } => back(*delay, 1, Some(failure_text(failure)?)),
            Settle::Snooze { delay, failure } => back(*delay, 0, Some(failure_text(failure)?)),
            Settle::Release => back(Duration::ZERO, 0, None),
            Settle::Fail { failure } => Self {
                state: JobState::Failed,
                ..back(Duration::ZERO, 1, Some(failure_text(failure)?))
            },
            Settle::Park {
                credential_version,
                failure,
            } => Self {
                state: JobState::Parked,
                refused: *credential_version,
                ..back(PARK_WITHOUT_CONNECTION, 0, Some(failure_text(failure)?))
            },
        })
    }
}

fn failure_text(failure: &Failure) -> Result<String, StoreError> {
    let value = serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
        what: "failure",
        why: error.to_string(),
    })?;
    Ok(json_text(&value))
}

/// JSON that both databases take. PostgreSQL's `jsonb` and `text` hold no NUL character
/// and would refuse the whole batch for one text of a provider, so it becomes U+FFFD.
pub(super) fn json_text(value: &Value) -> String {
    let text = value.to_string();
    // Serialized, NUL is always the escape \u0000; the search is cheap and nearly always in vain.
    if text.contains("\\u0000") {
        without_nul(value.clone()).to_string()
    } else {
        text
    }
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text_without_nul(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (text_without_nul(name), without_nul(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// The same for a plain text.
pub(super) fn text_without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// What a person reads on a job that was set aside, as JSON.
pub(super) fn quarantine_text() -> Result<String, StoreError> {
    failure_text(&Failure::new(
        FailureKind::Crash,
        format!("the process that ran this job died {CRASHES_TO_QUARANTINE} times while it ran"),
        "look at the worker's log and memory around these times, then retry the job or discard it",
    ))
}
