//! Alerts are made to agree with the causes that are present.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    QueryFilter, QueryOrder, Value, sea_query::Expr,
};
use serde_json::json;

use super::{
    super::{Store, StoreError, events::NewEvent},
    causes::{Cause, before},
    look::ChangedAlert,
};
use crate::{
    alerts::{AlertKind, BOUNDS},
    entities::alert::{Column, Entity, Model},
    events::EventKind,
    ids::{AlertId, OrgId},
};

/// A cause that stays as it is is written down no more often than this.
const SEEN_AGAIN: TimeDelta = TimeDelta::seconds(60);

impl Store {
    /// Raises what has no open alert, and notes what is seen again. Says which alerts were
    /// raised, opened again or told of. What another scheduler did first is not done twice.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn raise_alerts(
        &self,
        causes: &[Cause],
        now: DateTime<Utc>,
    ) -> Result<Vec<ChangedAlert>, StoreError> {
        let known = self.open_alerts_of(causes).await?;
        let mut raised = Vec::new();
        for cause in causes {
            let key = cause.kind.cause_key(cause.connection);
            if let Some(alert) = known.get(&(cause.org, key.clone())) {
                self.see_again(alert, cause, now).await?;
                if self.tell_what_was_withheld(alert, now).await? {
                    raised.push(changed(alert));
                }
                continue;
            }
            match self.raise_alert(cause, &key, now).await {
                Ok(alert) => raised.extend(alert),
                // Another scheduler was first in between.
                Err(error) if error.is_a_twin() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(raised)
    }

    /// Resolves alerts of a kind whose cause is gone, at most `limit`; says which, and whether
    /// there may be more.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn resolve_alerts(
        &self,
        kind: AlertKind,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<(Vec<ChangedAlert>, bool), StoreError> {
        let mut values: Vec<Value> = vec![kind.name().into()];
        match kind {
            AlertKind::SchedulesLate => {
                values.push(now.into());
                values.push(before(now, BOUNDS.shortest).into());
            }
            AlertKind::QueueOld => values.push(now.into()),
            AlertKind::ConnectionFailing
            | AlertKind::CredentialRefused
            | AlertKind::ConsentExpired
            | AlertKind::DeadJobs => {}
        }
        let sql = format!(
            "select a.* from alerts a left join alert_limits l on l.org_id = a.org_id
             where a.resolved_at is null and a.kind = $1 and {}
             order by a.id limit {limit}",
            self.gone(kind)
        );
        let gone = Entity::find()
            .from_raw_sql(self.asked(&sql, values))
            .all(self.db())
            .await?;
        // Another scheduler may be at the same ones.
        let is_full = u32::try_from(gone.len()).is_ok_and(|found| found >= limit);
        let mut resolved = Vec::new();
        for alert in gone {
            let tx = self.begin().await?;
            let done = Entity::update_many()
                .col_expr(Column::ResolvedAt, Expr::value(now))
                .filter(Column::Id.eq(alert.id))
                .filter(Column::ResolvedAt.is_null())
                .exec(&tx)
                .await?;
            if done.rows_affected == 1 {
                self.record_alert_event(&tx, &alert, EventKind::AlertResolved, "system")
                    .await?;
                resolved.push(changed(&alert));
            }
            tx.commit().await?;
        }
        Ok((resolved, is_full))
    }

    /// Forgets alerts that were over before `until`, at most `limit`; says how many. Who asked
    /// for silence until later than that has it.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_alerts(&self, until: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let sql = format!(
            "delete from alerts where id in (select id from alerts
             where resolved_at is not null and resolved_at < $1
               and (silenced_until is null or silenced_until < $1)
             order by resolved_at limit {limit})"
        );
        let done = self
            .db()
            .execute_raw(self.asked(&sql, [until.into()]))
            .await?;
        Ok(done.rows_affected())
    }

    async fn open_alerts_of(
        &self,
        causes: &[Cause],
    ) -> Result<HashMap<(OrgId, String), Model>, StoreError> {
        let orgs = causes.iter().map(|cause| cause.org);
        let keys = causes
            .iter()
            .map(|cause| cause.kind.cause_key(cause.connection));
        let rows = Entity::find()
            .filter(Column::OrgId.is_in(orgs))
            .filter(Column::CauseKey.is_in(keys))
            .filter(Column::ResolvedAt.is_null())
            .all(self.db())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.org_id, row.cause_key.clone()), row))
            .collect())
    }

    /// Guarded by the number that was read, so that two schedulers do not add the same twice.
    async fn see_again(
        &self,
        alert: &Model,
        cause: &Cause,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if alert.seen == cause.seen && now - alert.last_seen < SEEN_AGAIN {
            return Ok(());
        }
        let more = Ord::max(cause.seen - alert.seen, 0);
        Entity::update_many()
            .col_expr(Column::Count, Expr::col(Column::Count).add(more))
            .col_expr(Column::Seen, Expr::value(cause.seen))
            .col_expr(Column::LastSeen, Expr::value(now))
            .filter(Column::Id.eq(alert.id))
            .filter(Column::Seen.eq(alert.seen))
            .filter(Column::ResolvedAt.is_null())
            .exec(self.db())
            .await?;
        Ok(())
    }

    /// Opens the alert that was over a moment ago again, or one that is silent still: who said
    /// until when meant this cause, however long it was gone. Else makes a new one.
    async fn raise_alert(
        &self,
        cause: &Cause,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<ChangedAlert>, StoreError> {
        let tx = self.begin().await?;
        let limits = self.limits_in_force(&tx, cause.org).await?;
        let quiet_since = before(now, limits.quiet);
        let over = Entity::find()
            .filter(Column::OrgId.eq(cause.org))
            .filter(Column::CauseKey.eq(key))
            .filter(Column::ResolvedAt.is_not_null())
            .filter(
                Condition::any()
                    .add(Column::ResolvedAt.gt(quiet_since))
                    .add(Column::SilencedUntil.gt(now)),
            )
            .order_by_desc(Column::ResolvedAt)
            .one(&tx)
            .await?;
        let raised = match &over {
            Some(alert) => {
                let flaps = alert.resolved_at.is_some_and(|at| at > quiet_since);
                let alert = if flaps { alert.clone() } else { unknown(alert) };
                reopen(&tx, &alert, cause, now).await?
            }
            None => self.insert_alert(&tx, cause, key, now).await?,
        };
        let Some(alert) = raised else {
            return Ok(None);
        };
        self.record_alert_event(&tx, &alert, EventKind::AlertRaised, "system")
            .await?;
        self.tell_channels(&tx, &alert, limits, now).await?;
        tx.commit().await?;
        Ok(Some(changed(&alert)))
    }

    async fn insert_alert(
        &self,
        tx: &DatabaseTransaction,
        cause: &Cause,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Model>, StoreError> {
        let row = Model {
            id: AlertId::new(self.clock()),
            org_id: cause.org,
            kind: cause.kind,
            cause_key: key.to_owned(),
            connection_id: cause.connection,
            count: cause.seen,
            seen: cause.seen,
            first_seen: now,
            last_seen: now,
            flaps: 0,
            acknowledged_at: None,
            acknowledged_by: None,
            silenced_until: None,
            silenced_by: None,
            notified_at: None,
            withheld_at: None,
            resolved_at: None,
        };
        let sql = "insert into alerts (id, org_id, kind, cause_key, connection_id, count, seen, first_seen, last_seen)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict (org_id, cause_key) where resolved_at is null do nothing";
        let values: [Value; 9] = [
            row.id.into(),
            row.org_id.into(),
            row.kind.name().into(),
            key.into(),
            row.connection_id.map(|id| id.0).into(),
            row.count.into(),
            row.seen.into(),
            now.into(),
            now.into(),
        ];
        let done = tx.execute_raw(self.asked(sql, values)).await?;
        Ok((done.rows_affected() == 1).then_some(row))
    }

    pub(super) async fn record_alert_event(
        &self,
        tx: &DatabaseTransaction,
        alert: &Model,
        kind: EventKind,
        actor: &str,
    ) -> Result<(), StoreError> {
        let mut event = NewEvent::new(alert.org_id, kind, actor).data(json!({
            "alert": alert.id,
            "kind": alert.kind,
            "title": alert.kind.words().title,
            "flaps": alert.flaps,
            "silenced_until": alert.silenced_until,
        }));
        if let Some(connection) = alert.connection_id {
            event = event.connection(connection);
        }
        self.record_event(tx, event).await?;
        Ok(())
    }
}

fn changed(alert: &Model) -> ChangedAlert {
    ChangedAlert {
        org: alert.org_id,
        alert: alert.id,
    }
}

/// That a person knew of it is long ago.
fn unknown(alert: &Model) -> Model {
    Model {
        acknowledged_at: None,
        acknowledged_by: None,
        ..alert.clone()
    }
}

async fn reopen(
    tx: &DatabaseTransaction,
    alert: &Model,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Option<Model>, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::ResolvedAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::Flaps, Expr::col(Column::Flaps).add(1))
        .col_expr(Column::Count, Expr::col(Column::Count).add(cause.seen))
        .col_expr(Column::Seen, Expr::value(cause.seen))
        .col_expr(Column::LastSeen, Expr::value(now))
        .col_expr(Column::WithheldAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::AcknowledgedAt, Expr::value(alert.acknowledged_at))
        .col_expr(
            Column::AcknowledgedBy,
            Expr::value(alert.acknowledged_by.clone()),
        )
        .filter(Column::Id.eq(alert.id))
        .filter(Column::ResolvedAt.is_not_null())
        .exec(tx)
        .await?;
    let opened = Model {
        resolved_at: None,
        withheld_at: None,
        flaps: alert.flaps + 1,
        ..alert.clone()
    };
    Ok((done.rows_affected == 1).then_some(opened))
}
