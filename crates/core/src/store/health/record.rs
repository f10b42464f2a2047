//! What checks came to, written many at once.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::LockType,
};
use serde_json::{Value, json};

use super::{Store, StoreError, log::Line, readable, write::Written};
use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, connection_health},
    events::EventKind,
    failure::{Failure, FailureKind, NextActionKind},
    health::{
        Verdict,
        judgement::{Outcomes, judge},
        open::Open,
        ring::Check,
        shown::shown_health,
    },
    ids::{ConnectionId, OrgId},
    job_args::CheckReason,
    store::events::NewEvent,
};

/// A check that was made.
#[derive(Debug, Clone)]
pub struct CheckResult {
    /// Whose.
    pub org: OrgId,
    /// What was checked.
    pub connection: ConnectionId,
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub reason: CheckReason,
    /// How long the provider took, in milliseconds.
    pub response_ms: u32,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
    /// The provider asked not to be asked before this time.
    pub not_before: Option<DateTime<Utc>>,
}

/// The health shown of a connection became another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthChange {
    /// Whose.
    pub org: OrgId,
    /// Which connection.
    pub connection: ConnectionId,
    /// What was shown.
    pub from: Health,
    /// What is shown now.
    pub to: Health,
}

/// Whether a passed check leaves the row of a connection as it is.
fn is_steady(row: &connection::Model) -> bool {
    row.status == ConnectionStatus::Active && row.health == Health::Healthy && row.error_count == 0
}

impl CheckResult {
    /// Whether the connection's own row may change with this result, so that
    /// [`Store::record_checks`] needs it held.
    #[must_use]
    pub fn concerns(&self, row: &connection::Model) -> bool {
        self.failure.is_some() || !is_steady(row)
    }
}

impl Store {
    /// Holds the rows of these connections until the transaction ends, in the order of their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn lock_connections(
        &self,
        tx: &DatabaseTransaction,
        ids: &[ConnectionId],
    ) -> Result<Vec<connection::Model>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(connection::Entity::find()
            .filter(connection::Column::Id.is_in(ids.iter().copied()))
            .order_by_asc(connection::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(tx)
            .await?)
    }

    /// Writes what checks came to, at most one of each connection, in the caller's fenced
    /// transaction. `held` are the rows of those that [`CheckResult::concerns`]; the others
    /// were active, healthy and without a failure when they were read. A result of a
    /// connection that was switched off meanwhile is dropped.
    ///
    /// # Errors
    /// The database.
    pub async fn record_checks(
        &self,
        tx: &DatabaseTransaction,
        held: &[connection::Model],
        results: Vec<CheckResult>,
    ) -> Result<Vec<HealthChange>, StoreError> {
        let held: HashMap<ConnectionId, &connection::Model> =
            held.iter().map(|row| (row.id, row)).collect();
        let mut results: BTreeMap<ConnectionId, CheckResult> = results
            .into_iter()
            .filter(|result| {
                held.get(&result.connection)
                    .is_none_or(|row| counts(row, result))
            })
            .map(|result| (result.connection, result))
            .collect();
        let states = self.hold_states(tx, results.keys().copied()).await?;
        let mut lines = Vec::new();
        let mut written = Vec::with_capacity(results.len());
        let mut changes = Vec::new();
        for state in states {
            let Some(result) = results.get_mut(&state.connection_id) else {
                continue;
            };
            if let Some(failure) = &mut result.failure {
                wait_for_next_check(failure, state.next_check_at);
            }
            let row = held.get(&state.connection_id).copied();
            let known = row.map_or(Health::Healthy, |row| row.health);
            let verdict = Verdict::of(result.failure.as_ref().map(|failure| failure.kind));
            let outcomes = Outcomes::of_stored(state.outcomes);
            let (outcomes, health) = match verdict {
                Verdict::Undecided => (outcomes, known),
                Verdict::Passed | Verdict::Failed => {
                    let outcomes = outcomes.then(verdict == Verdict::Failed);
                    (outcomes, judge(known, outcomes))
                }
            };
            if let Some(row) = row {
                self.write_on_connection(tx, row, result, health).await?;
            }
            // What the account did not grant is shown too, and may hide what checks say.
            let in_want = row.map(connection::Model::in_want).unwrap_or_default();
            let (from, to) = (
                shown_health(known, &in_want),
                shown_health(health, &in_want),
            );
            if from != to {
                changes.push(HealthChange {
                    org: result.org,
                    connection: result.connection,
                    from,
                    to,
                });
            }
            let manual = result.reason == CheckReason::Manual;
            if result.failure.is_some() || health != known || manual {
                lines.push(Line {
                    result: result.clone(),
                    health,
                });
            }
            let mut open = readable("open", state.connection_id, Open::decode(&state.open));
            let check = Check {
                at: result.at,
                reason: result.reason,
                failure: result.failure.as_ref().map(|failure| failure.kind),
                response_ms: result.response_ms,
            };
            open.add(check, state.last_checked_at, state.every_minutes);
            written.push(Written {
                connection: state.connection_id,
                at: result.at,
                passed: verdict == Verdict::Passed,
                outcomes: outcomes.stored(),
                open,
                not_before: result.not_before,
            });
        }
        self.write_states(tx, written).await?;
        self.write_log(tx, lines).await?;
        for change in &changes {
            self.tell_change(tx, change, &results).await?;
        }
        Ok(changes)
    }

    /// The rows to count in, held in the order of their ids; makes those that are missing.
    async fn hold_states(
        &self,
        tx: &DatabaseTransaction,
        ids: impl Iterator<Item = ConnectionId> + Clone,
    ) -> Result<Vec<connection_health::Model>, StoreError> {
        Ok(connection_health::Entity::find()
            .filter(connection_health::Column::ConnectionId.is_in(ids))
            .order_by_asc(connection_health::Column::ConnectionId)
            .lock(LockType::NoKeyUpdate)
            .all(tx)
            .await?)
    }

    async fn write_on_connection(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        result: &CheckResult,
        health: Health,
    ) -> Result<(), StoreError> {
        let mut change = connection::ActiveModel {
            health: Set(health),
            last_checked_at: Set(Some(result.at)),
            ..Default::default()
        };
        match &result.failure {
            None => {
                if is_steady(row) && health == row.health {
                    return Ok(());
                }
                change.error_count = Set(0);
                change.last_success_at = Set(Some(result.at));
            }
            // What refuses the credential breaks the connection, and is written there.
            Some(failure) if failure.kind == FailureKind::Auth => {}
            Some(failure) => {
                let counted = i32::from(failure.kind != FailureKind::RateLimited);
                change.error_count = Set(row.error_count.saturating_add(counted));
                change.last_error = Set(Some(stored(failure)?));
                change.last_error_at = Set(Some(result.at));
            }
        }
        self.update_connection(tx, row, change).await?;
        Ok(())
    }

    async fn tell_change(
        &self,
        tx: &DatabaseTransaction,
        change: &HealthChange,
        results: &BTreeMap<ConnectionId, CheckResult>,
    ) -> Result<(), StoreError> {
        if change.from == Health::Unknown && change.to == Health::Healthy {
            return Ok(());
        }
        let failure = results
            .get(&change.connection)
            .and_then(|result| result.failure.as_ref());
        let event = NewEvent::new(change.org, EventKind::ConnectionHealthChanged, "system")
            .connection(change.connection)
            .data(json!({ "from": change.from, "to": change.to, "failure": failure }));
        self.record_event(tx, event).await?;
        Ok(())
    }
}

/// A refusal that did not break the connection was of a credential that is no more in
/// force: it says nothing of the one that is.
fn counts(row: &connection::Model, result: &CheckResult) -> bool {
    let refused = result
        .failure
        .as_ref()
        .is_some_and(|failure| failure.kind == FailureKind::Auth);
    match row.status {
        ConnectionStatus::Active => !refused,
        ConnectionStatus::Error | ConnectionStatus::Expired => true,
        ConnectionStatus::Pending | ConnectionStatus::Disabled | ConnectionStatus::Disconnected => {
            false
        }
    }
}

/// Where there is nothing to do but to wait, the next check is what is waited for.
fn wait_for_next_check(failure: &mut Failure, next_check_at: Option<DateTime<Utc>>) {
    let mut next = failure.what_next();
    if next.kind == NextActionKind::WaitUntil && next.until.is_none() {
        next.until = next_check_at;
        failure.next_action = Some(next);
    }
}

pub(super) fn stored(failure: &Failure) -> Result<Value, StoreError> {
    serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
        what: "failure",
        why: error.to_string(),
    })
}
