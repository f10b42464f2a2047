//! Log lines of one job, kept with it for people. Scrubbed of the secrets the body
//! opened, capped, and written in batches so that a chatty body costs one insert a second.
//! Knowing the secrets, it scrubs what else is stored or shown of a run: its failures.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use patchbay_core::{
    failure::{Failure, Opening},
    ids::JobId,
    secret::Secret,
    store::{Store, jobs::LogLine},
};
use serde_json::{Value, json};

/// Lines wait at most about this long before they are written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Lines one run may write; the store keeps the newest thousand of a job.
const LINES_A_RUN: usize = 1_000;
/// Characters kept of a message, and of its fields as JSON.
const MESSAGE_CHARS: usize = 2_000;
const FIELDS_CHARS: usize = 4_000;
/// Shorter secrets would blank out ordinary words.
const SHORTEST_SECRET: usize = 6;
const BLANK: &str = "••••";

/// The log of one run.
pub struct JobLog {
    job: JobId,
    attempt: i32,
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<LogLine>,
    written: usize,
    last_write: Option<Instant>,
    secrets: Vec<Secret>,
    /// How accounts of the job's provider are opened, and what a failure means.
    provider: Option<(Opening, String)>,
}

impl fmt::Debug for JobLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobLog")
            .field("job", &self.job)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl JobLog {
    pub(crate) fn new(job: JobId, attempt: i32, store: Store) -> Self {
        Self {
            job,
            attempt,
            store,
            state: Mutex::default(),
        }
    }

    /// From now on this text is blanked out of every line and every failure.
    pub fn hide(&self, secret: &Secret) {
        let length = secret.expose().len();
        if length >= SHORTEST_SECRET {
            let secrets = &mut self.state().secrets;
            // Longest first: blanking a part of a secret would leave the rest of it.
            let place = secrets.partition_point(|other| other.expose().len() >= length);
            secrets.insert(place, secret.clone());
        }
    }

    /// From now on failures say what a business notices and what a person does about them,
    /// as it is with this provider.
    pub fn explain(&self, opening: Opening, impact: &str) {
        self.state().provider = Some((opening, impact.to_owned()));
    }

    /// A failure as it may be stored and shown: explained, and without secrets, because
    /// providers repeat in their errors what they were sent.
    #[must_use]
    pub fn scrub_failure(&self, failure: Failure) -> Failure {
        let state = self.state();
        let scrubbed = scrub_failure(failure, &state.secrets);
        match &state.provider {
            Some((opening, impact)) => scrubbed.explained(*opening, impact),
            None => scrubbed,
        }
    }

    /// Any other text that is to leave the run.
    pub(crate) fn scrub_text(&self, text: &str) -> String {
        scrub(text, &self.state().secrets)
    }

    /// A step worth knowing.
    pub async fn info(&self, message: impl Into<String> + Send, fields: Value) {
        self.line("info", message.into(), fields).await;
    }

    /// Something odd that the job got over.
    pub async fn warn(&self, message: impl Into<String> + Send, fields: Value) {
        self.line("warn", message.into(), fields).await;
    }

    /// What made it fail.
    pub async fn error(&self, message: impl Into<String> + Send, fields: Value) {
        self.line("error", message.into(), fields).await;
    }

    async fn line(&self, level: &str, message: String, fields: Value) {
        let due = {
            let mut state = self.state();
            if state.written + state.waiting.len() >= LINES_A_RUN {
                return;
            }
            let line = LogLine {
                level: level.to_owned(),
                attempt: self.attempt,
                message: cap(scrub(&message, &state.secrets), MESSAGE_CHARS),
                fields: scrub_fields(&fields, &state.secrets),
            };
            state.waiting.push(line);
            state
                .last_write
                .is_none_or(|at| at.elapsed() >= WRITE_EVERY)
        };
        if due {
            self.flush().await;
        }
    }

    /// Writes what waits. The worker calls it when the run ends.
    pub(crate) async fn flush(&self) {
        let lines = {
            let mut state = self.state();
            state.last_write = Some(Instant::now());
            state.written += state.waiting.len();
            std::mem::take(&mut state.waiting)
        };
        if lines.is_empty() {
            return;
        }
        // Log lines are not worth failing a job for.
        if let Err(error) = self.store.jobs().append_logs(self.job, lines).await {
            tracing::warn!(%error, job = %self.job, "log lines of the job were not kept");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scrub(text: &str, secrets: &[Secret]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        text.replace(secret.expose(), BLANK)
    })
}

fn scrub_failure(failure: Failure, secrets: &[Secret]) -> Failure {
    let Failure {
        kind,
        message,
        action,
        code,
        next_action,
        impact,
    } = failure;
    Failure {
        kind,
        message: scrub(&message, secrets),
        action: scrub(&action, secrets),
        code: code.map(|code| scrub(&code, secrets)),
        next_action,
        impact,
    }
}

fn scrub_fields(fields: &Value, secrets: &[Secret]) -> Value {
    let scrubbed = scrub_value(fields, secrets);
    let length = scrubbed.to_string().chars().count();
    if length > FIELDS_CHARS {
        json!({ "left_out_chars": length })
    } else {
        scrubbed
    }
}

/// In the parsed value, not its text, where JSON escapes could hide a secret.
fn scrub_value(value: &Value, secrets: &[Secret]) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) => Value::String(scrub(text, secrets)),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| scrub_value(item, secrets))
                .collect(),
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| (scrub(name, secrets), scrub_value(field, secrets)))
                .collect(),
        ),
    }
}

fn cap(text: String, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_blanked_in_messages_and_in_every_depth_of_the_fields() {
        let secrets = [Secret::new("sq0-\"secret\"".to_owned())];
        assert_eq!(
            scrub("token sq0-\"secret\" refused", &secrets),
            "token •••• refused"
        );
        let fields = json!({ "a": [{ "b": "x sq0-\"secret\" y" }], "n": 1 });
        assert_eq!(
            scrub_fields(&fields, &secrets),
            json!({ "a": [{ "b": "x •••• y" }], "n": 1 })
        );
    }

    #[tokio::test]
    async fn a_failure_shows_no_part_of_a_secret() {
        let (run, _) = crate::JobRun::on_memory(json!({})).await;
        let log = run.log;
        log.hide(&Secret::new("sq0-abc"));
        log.hide(&Secret::new("sq0-abcdef"));
        let mut failure = Failure::new(
            patchbay_core::failure::FailureKind::Invalid,
            "refused: sq0-abcdef",
            "look at sq0-abc",
        );
        failure.code = Some("no sq0-abcdef".to_owned());
        let scrubbed = log.scrub_failure(failure);
        assert_eq!(scrubbed.message, "refused: ••••");
        assert_eq!(scrubbed.action, "look at ••••");
        assert_eq!(scrubbed.code.as_deref(), Some("no ••••"));
    }

    #[test]
    fn long_messages_and_fields_are_cut() {
        assert_eq!(cap("äöü".to_owned(), 2), "äö…");
        let fields = json!({ "text": "x".repeat(5_000) });
        assert_eq!(scrub_fields(&fields, &[])["left_out_chars"], 5_011);
    }
}
