//! From when on something is an alert, as each org has set it. The looks compare with it in
//! their own statements (`causes`), so that an org's limit costs nobody else a query.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, sea_query::OnConflict,
};
use serde_json::json;

use super::super::{Store, StoreError, events::NewEvent};
use crate::{
    alerts::Limits,
    entities::alert_limit::{ActiveModel, Column, Entity, Model},
    events::EventKind,
    ids::OrgId,
};

/// Limits as they were set, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLimits {
    /// What they say.
    pub limits: Limits,
    /// Who set them.
    pub updated_by: String,
    /// When.
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

/// A limit that is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Schedules,
    Queues,
}

impl Store {
    /// The limits that an org has set; `None`: the usual ones are in force.
    ///
    /// # Errors
    /// The database.
    pub async fn alert_limits(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
    ) -> Result<Option<SetLimits>, StoreError> {
        let row = Entity::find_by_id(org).one(db).await?;
        Ok(row.map(read))
    }

    /// Sets an org's limits and writes the event, unless they say what is in force already. The
    /// caller holds the org ([`Store::lock_org`]).
    ///
    /// # Errors
    /// The database.
    pub async fn set_alert_limits(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        limits: Limits,
        actor: &str,
    ) -> Result<(), StoreError> {
        let in_force = self.limits_in_force(tx, org).await?;
        if in_force == limits {
            return Ok(());
        }
        let row = Model {
            org_id: org,
            failures_in_a_row: i32::from(limits.failures_in_a_row),
            schedule_lag_seconds: seconds(limits.schedule_lag),
            queue_age_seconds: seconds(limits.queue_age),
            quiet_seconds: seconds(limits.quiet),
            updated_by: actor.to_owned(),
            updated_at: self.clock().now(),
        };
        Entity::insert(ActiveModel::from(row))
            .on_conflict(
                OnConflict::column(Column::OrgId)
                    .update_columns([
                        Column::FailuresInARow,
                        Column::ScheduleLagSeconds,
                        Column::QueueAgeSeconds,
                        Column::QuietSeconds,
                        Column::UpdatedBy,
                        Column::UpdatedAt,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
        let event = NewEvent::new(org, EventKind::AlertLimitsChanged, actor)
            .data(json!({ "before": words(&in_force), "after": words(&limits) }));
        self.record_event(tx, event).await?;
        Ok(())
    }

    /// What holds for an org.
    pub(super) async fn limits_in_force(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
    ) -> Result<Limits, StoreError> {
        let set = self.alert_limits(tx, org).await?;
        Ok(set.map_or_else(Limits::default, |set| set.limits))
    }

    /// The moment before which what is due has waited too long for its org, as SQL: `now` is
    /// the present, `l` the org's row of `alert_limits` or none.
    pub(super) fn too_long_ago(&self, now: &str, patience: Patience) -> String {
        let usual = Limits::default();
        let (column, usual) = match patience {
            Patience::Schedules => ("l.schedule_lag_seconds", usual.schedule_lag),
            Patience::Queues => ("l.queue_age_seconds", usual.queue_age),
        };
        let limit = format!("coalesce({column}, {})", seconds(usual));
        match self.db().get_database_backend() {
            DbBackend::Postgres => {
                format!("{now}::timestamptz - {limit} * interval '1 second'")
            }
            // Times are texts there, which begin like this one.
            _ => format!("strftime('%Y-%m-%dT%H:%M:%f', {now}, '-' || {limit} || ' seconds')"),
        }
    }
}

/// Failures in a row of the connection `c` are enough for its org, as SQL.
pub(super) fn failed_enough() -> String {
    let usual = Limits::default().failures_in_a_row;
    // Three failed checks in a row are what it takes to be shown as failing.
    format!(
        "case when c.health = 'failing' and c.error_count < 3 then 3 else c.error_count end
         >= coalesce(l.failures_in_a_row, {usual})"
    )
}

fn read(row: Model) -> SetLimits {
    let duration = |seconds: i32| Duration::from_secs(u64::from(seconds.unsigned_abs()));
    SetLimits {
        limits: Limits {
            failures_in_a_row: u16::try_from(row.failures_in_a_row).unwrap_or(u16::MAX),
            schedule_lag: duration(row.schedule_lag_seconds),
            queue_age: duration(row.queue_age_seconds),
            quiet: duration(row.quiet_seconds),
        },
        updated_by: row.updated_by,
        updated_at: row.updated_at,
    }
}

fn words(limits: &Limits) -> serde_json::Value {
    json!({
        "failures_in_a_row": limits.failures_in_a_row,
        "schedule_lag_seconds": limits.schedule_lag.as_secs(),
        "queue_age_seconds": limits.queue_age.as_secs(),
        "quiet_seconds": limits.quiet.as_secs(),
    })
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
