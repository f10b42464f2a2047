//! Retry policies of orgs. What a dead job's end looks like under one is written by
//! `super::jobs`.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    sea_query::OnConflict,
};
use serde_json::json;

use super::{Store, StoreError, events::NewEvent};
use crate::{
    entities::retry_policy::{ActiveModel, Column, Entity, Model},
    events::EventKind,
    ids::OrgId,
    retry::{RetryPolicy, Scope},
};

/// The policy that `jobs.kind` comes under, in a statement: [`Scope::of`], to which a test
/// compares it.
macro_rules! scope_of_kind {
    () => {
        "(case jobs.kind when 'alert_delivery' then 'webhooks' else 'jobs' end)"
    };
}
pub(super) use scope_of_kind;

/// A policy as it was set, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct SetPolicy {
    /// What it says.
    pub policy: RetryPolicy,
    /// Who set it.
    pub updated_by: String,
    /// When.
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

impl Store {
    /// The policy that an org has set; `None`: the usual one is in force.
    ///
    /// # Errors
    /// The database.
    pub async fn retry_policy(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        scope: Scope,
    ) -> Result<Option<SetPolicy>, StoreError> {
        let row = Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::Scope.eq(scope))
            .one(db)
            .await?;
        Ok(row.map(read))
    }

    /// Sets an org's policy and writes the event, unless it says what is in force already.
    ///
    /// # Errors
    /// The database.
    pub async fn set_retry_policy(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        scope: Scope,
        policy: RetryPolicy,
        actor: &str,
    ) -> Result<(), StoreError> {
        let before = self.retry_policy(tx, org, scope).await?;
        let in_force = before.map_or_else(|| RetryPolicy::usual(scope), |set| set.policy);
        if in_force == policy {
            return Ok(());
        }
        let row = Model {
            org_id: org,
            scope,
            kind: policy.backoff,
            max_retries: i32::from(policy.max_retries),
            base_ms: millis(policy.base),
            cap_ms: millis(policy.cap),
            jitter: policy.jitter,
            dead_letters: policy.dead_letters,
            updated_by: actor.to_owned(),
            updated_at: self.clock().now(),
        };
        let event = NewEvent::new(org, EventKind::RetryPolicyChanged, actor).data(json!({
            "scope": scope,
            "before": words(&in_force),
            "after": words(&policy),
        }));
        Entity::insert(ActiveModel::from(row))
            .on_conflict(
                OnConflict::columns([Column::OrgId, Column::Scope])
                    .update_columns([
                        Column::Kind,
                        Column::MaxRetries,
                        Column::BaseMs,
                        Column::CapMs,
                        Column::Jitter,
                        Column::DeadLetters,
                        Column::UpdatedBy,
                        Column::UpdatedAt,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
        self.record_event(tx, event).await?;
        Ok(())
    }
}

fn read(row: Model) -> SetPolicy {
    let duration = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    SetPolicy {
        policy: RetryPolicy {
            backoff: row.kind,
            base: duration(row.base_ms),
            cap: duration(row.cap_ms),
            jitter: row.jitter,
            max_retries: u16::try_from(row.max_retries).unwrap_or(0),
            dead_letters: row.dead_letters,
        },
        updated_by: row.updated_by,
        updated_at: row.updated_at,
    }
}

fn words(policy: &RetryPolicy) -> serde_json::Value {
    json!({
        "kind": policy.backoff,
        "max_retries": policy.max_retries,
        "base_seconds": policy.base.as_secs_f64(),
        "cap_seconds": policy.cap.as_secs_f64(),
        "jitter": policy.jitter,
        "dead_letters": policy.dead_letters,
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum, Database, Iterable, Statement};

    use super::*;
    use crate::job::JobKind;

    #[tokio::test]
    async fn statements_know_the_policy_of_every_kind() {
        let db = Database::connect("sqlite::memory:").await.unwrap();
        const SQL: &str = concat!(
            "select ",
            scope_of_kind!(),
            " as scope from (select $1 as kind) jobs"
        );
        for kind in JobKind::iter() {
            let values = [kind.to_value().into()];
            let backend = db.get_database_backend();
            let asked = Statement::from_sql_and_values(backend, SQL, values);
            let row = db.query_one_raw(asked).await.unwrap().unwrap();
            let said: String = row.try_get("", "scope").unwrap();
            assert_eq!(said, Scope::of(kind).to_value(), "{kind:?}");
        }
    }

    #[test]
    fn statements_know_the_usual_attempts_of_both_policies() {
        let usual = |scope| RetryPolicy::usual(scope).max_attempts();
        assert_eq!((usual(Scope::Jobs), usual(Scope::Webhooks)), (4, 10));
    }
}
