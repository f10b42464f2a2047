//! Records between two commits.

use std::time::Duration;

use patchbay_core::{
    job::JobError,
    store::records::{RECORDS_PER_BATCH, SeenRecord},
};
use patchbay_providers::{Page, SyncArgs};
use serde_json::Value;
use tokio::time::Instant;

use super::state::RunState;
use crate::{context::Context, jobs::opening::Opened, run::JobRun};

/// A commit is due after this long, so that a watcher sees progress and a crash costs little.
const COMMIT_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Batch {
    records: Vec<SeenRecord>,
    /// What the last page of the batch said.
    last: Option<LastPage>,
    since: Instant,
}

struct LastPage {
    next: Option<Value>,
    cursor: Option<Value>,
    total: Option<u64>,
    complete: bool,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            last: None,
            since: Instant::now(),
        }
    }

    pub(super) fn add(&mut self, page: Page) {
        if self.last.is_none() {
            self.since = Instant::now();
        }
        self.records
            .extend(page.records.into_iter().map(|record| SeenRecord {
                external_id: without_nul(record.external_id),
                kind: record.kind,
                data: value_without_nul(record.data),
                raw: value_without_nul(record.raw),
                source_version: record.source_version,
                deleted: record.deleted,
            }));
        self.last = Some(LastPage {
            next: page.next,
            cursor: page.cursor,
            total: page.total,
            complete: page.complete,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    pub(super) fn is_ripe(&self, records: usize) -> bool {
        self.records.len() >= records || self.ripe_at() <= Instant::now()
    }

    /// When it is due whether or not another page has come.
    pub(super) fn ripe_at(&self) -> Instant {
        self.since + COMMIT_EVERY
    }

    /// Writes what has gathered, with the place where the run goes on.
    pub(super) async fn commit(
        &mut self,
        run: &JobRun,
        ctx: &Context,
        opened: &Opened,
        args: &SyncArgs,
        state: &mut RunState,
    ) -> Result<(), JobError> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let records = std::mem::take(&mut self.records);
        let count = records.len() as u64;
        // A run that left anything out at any page cannot tell what is gone.
        state.complete &= last.complete;
        let sighting = state.sighting(opened, args);
        let tx = run.begin_fenced().await?;
        let mut records = records.into_iter();
        loop {
            let chunk: Vec<SeenRecord> = records.by_ref().take(RECORDS_PER_BATCH).collect();
            if chunk.is_empty() {
                break;
            }
            state
                .counts
                .add(ctx.store.upsert_records(&tx, &sighting, chunk).await?);
        }
        state.advance(count);
        state.pulled = last.next.is_none();
        state.position = last.next;
        state.total = last.total.or(state.total);
        state.new_cursor = last.cursor.or(state.new_cursor.take());
        state
            .checkpoint(run, &tx, &format!("pulling {}", args.stream))
            .await?;
        tx.commit().await?;
        run.signal().await;
        Ok(())
    }
}

/// PostgreSQL stores no NUL in text or jsonb
/// (<https://www.postgresql.org/docs/current/datatype-json.html>). The replacement
/// character says that something stood there.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn value_without_nul(value: Value) -> Value {
    // Nearly no value has one, and rebuilding every map costs more than looking.
    if has_nul(&value) {
        replace_nul(value)
    } else {
        value
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn replace_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(replace_nul).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (without_nul(key), replace_nul(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::value_without_nul;

    #[test]
    fn a_nul_is_replaced_wherever_it_stands_and_nothing_else_is() {
        let value = json!({ "a": ["x\0y", { "k\0": 1 }], "b": "as it was" });
        let expected = json!({ "a": ["x\u{fffd}y", { "k\u{fffd}": 1 }], "b": "as it was" });
        assert_eq!(value_without_nul(value), expected);
    }
}
