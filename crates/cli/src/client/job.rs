//! A job as the API shows it.

use patchbay_core::{
    failure::Failure,
    ids::{ConnectionId, JobId},
    job::{JobKind, JobState},
    progress::Progress,
};
use serde::Deserialize;
use serde_json::Value;

/// What people see of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    pub state: JobState,
    pub connection_id: Option<ConnectionId>,
    pub args: Value,
    pub progress: Option<Progress>,
    pub error: Option<Failure>,
    pub attempt: i32,
    pub max_attempts: i32,
    pub created_at: chrono::DateTime<chrono::Utc>,
    pub started_at: Option<chrono::DateTime<chrono::Utc>>,
    pub finished_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// Jobs of one answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Jobs {
    pub jobs: Vec<Job>,
}

impl Job {
    /// Its name on the screen: the stream of a sync, what an action does, else the kind.
    pub fn label(&self) -> String {
        match (self.kind, self.args.get("stream").and_then(Value::as_str)) {
            (JobKind::Sync, Some(stream)) => stream.to_owned(),
            (JobKind::Action, _) => match self.args.get("action").and_then(Value::as_str) {
                Some(action) => action.to_owned(),
                None => name(self.kind),
            },
            (kind, _) => name(kind),
        }
    }

    /// How it stands, in a word.
    pub fn state_name(&self) -> String {
        name(self.state)
    }

    /// Records done so far.
    pub fn done(&self) -> u64 {
        self.progress.as_ref().map_or(0, |progress| progress.done)
    }

    /// What went wrong and what to do, in one line.
    pub fn failure_line(&self) -> Option<String> {
        let failure = self.error.as_ref()?;
        Some(
            format!(
                "{}. {}",
                failure.message.trim_end_matches('.'),
                failure.action
            )
            .trim_end()
            .to_owned(),
        )
    }
}

/// The word that JSON uses for a value of a closed list.
pub fn name(word: impl serde::Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => "?".into(),
    }
}
