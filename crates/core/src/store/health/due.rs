//! When connections are checked. The times of one interval are spread by the connection's
//! id and keep their place in it, so that however many were made, enabled or missed
//! together, they do not fall on one second for long.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    FromQueryResult, QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict,
};

use super::{Store, StoreError, on_postgres, postgres};
use crate::{
    connection::ConnectionStatus,
    entities::{connection, connection_health},
    health::judgement::Outcomes,
    ids::ConnectionId,
};

/// The longest interval. A refused credential is asked about this seldom, whatever the
/// connection's interval: it may have been the provider's mistake, but providers lock
/// accounts that keep trying.
pub const MOST_MINUTES: i32 = 60;

/// A check that is due.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct DueCheck {
    /// What to check.
    pub connection_id: ConnectionId,
    /// Its provider.
    pub provider: String,
    /// When it was due.
    pub was_due: DateTime<Utc>,
}

/// Due checks, taken: their next times are set in the caller's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueChecks {
    /// The tick. Only the job that names the latest tick of a connection checks it.
    pub at: DateTime<Utc>,
    /// The longest due first.
    pub due: Vec<DueCheck>,
}

/// `$1`: at most so many. Rows are found through the index of those with a time, whatever
/// the planner believes; those that another scheduler takes at this moment are passed over.
const TAKE: &str = "
    with clock as materialized (select date_trunc('milliseconds', patchbay_now()) as now),
    due as materialized (
        select connection_id, next_check_at as was_due from connection_health
        where next_check_at <= (select now from clock)
        order by next_check_at
        limit $1
        for no key update skip locked)
    update connection_health h
    set asked_at = (select now from clock),
        next_check_at = was_due + make_interval(mins => every_minutes) * (1 + floor(
            extract(epoch from (select now from clock) - was_due) / (every_minutes * 60)))
    from due
    where h.connection_id = due.connection_id and h.connection_id = any(array(select connection_id from due))
    returning h.connection_id, h.provider, due.was_due, h.asked_at";

/// `$2` milliseconds from now.
const PLAN: &str = "
    insert into connection_health (connection_id, org_id, provider, every_minutes, next_check_at)
    values ($1, $3, $4, $5, case when $2 >= 0 then patchbay_now() + $2 * interval '1 millisecond' end)
    on conflict (connection_id) do update
    set every_minutes = excluded.every_minutes, next_check_at = excluded.next_check_at";

/// How often a connection in this status is checked, in minutes; `None`: not at all.
fn every_minutes(status: ConnectionStatus, interval: i32) -> Option<i32> {
    match status {
        ConnectionStatus::Active => Some(interval.clamp(1, MOST_MINUTES)),
        ConnectionStatus::Error | ConnectionStatus::Expired => Some(MOST_MINUTES),
        ConnectionStatus::Pending | ConnectionStatus::Disabled | ConnectionStatus::Disconnected => {
            None
        }
    }
}

/// The place of a connection within its interval.
fn place(id: ConnectionId, every_minutes: i32) -> TimeDelta {
    let (_, random) = id.0.as_u64_pair();
    let milliseconds = u64::from(every_minutes.unsigned_abs()) * 60_000;
    TimeDelta::milliseconds(i64::try_from(random % milliseconds).unwrap_or(0) + 1)
}

impl Store {
    /// Plans the checks of a connection anew, from its row as it is now: after a change of
    /// its status or of its interval. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub(crate) async fn plan_checks(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
    ) -> Result<(), StoreError> {
        let every = every_minutes(row.status, row.health_interval_minutes);
        let wait = every.map(|every| place(row.id, every));
        let every = every.unwrap_or_else(|| row.health_interval_minutes.clamp(1, MOST_MINUTES));
        if on_postgres(tx) {
            let values = [
                row.id.into(),
                wait.map_or(-1, |wait| wait.num_milliseconds()).into(),
                row.org_id.into(),
                row.provider.as_str().into(),
                every.into(),
            ];
            tx.execute_raw(postgres(PLAN, values)).await?;
            return Ok(());
        }
        let now = self.clock().now();
        let plan = connection_health::ActiveModel {
            connection_id: Set(row.id),
            org_id: Set(row.org_id),
            provider: Set(row.provider.clone()),
            every_minutes: Set(every),
            next_check_at: Set(wait.map(|wait| now + wait)),
            ..Default::default()
        };
        let conflict = OnConflict::column(connection_health::Column::ConnectionId)
            .update_columns([
                connection_health::Column::EveryMinutes,
                connection_health::Column::NextCheckAt,
            ])
            .to_owned();
        connection_health::Entity::insert(plan)
            .on_conflict(conflict)
            .exec_without_returning(tx)
            .await?;
        Ok(())
    }

    /// Forgets the last outcomes of a connection that begins anew. The caller holds its row.
    ///
    /// # Errors
    /// The database.
    pub(crate) async fn forget_outcomes(
        &self,
        tx: &DatabaseTransaction,
        id: ConnectionId,
    ) -> Result<(), StoreError> {
        use connection_health::Column;
        connection_health::Entity::update_many()
            .col_expr(
                Column::Outcomes,
                sea_orm::sea_query::Expr::value(Outcomes::default().stored()),
            )
            .filter(Column::ConnectionId.eq(id))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Takes at most `limit` due checks and sets their next times. The caller enqueues the
    /// jobs that do them in the same transaction.
    ///
    /// # Errors
    /// The database.
    pub async fn take_due_checks(
        &self,
        tx: &DatabaseTransaction,
        limit: u32,
    ) -> Result<DueChecks, StoreError> {
        if on_postgres(tx) {
            let rows = tx
                .query_all_raw(postgres(TAKE, [i64::from(limit).into()]))
                .await?;
            let mut due = Vec::with_capacity(rows.len());
            let mut at = DateTime::UNIX_EPOCH;
            for row in &rows {
                at = row.try_get("", "asked_at")?;
                due.push(DueCheck::from_query_result(row, "")?);
            }
            due.sort_by_key(|check| check.was_due);
            return Ok(DueChecks { at, due });
        }
        self.take_due_checks_one_by_one(tx, limit).await
    }

    async fn take_due_checks_one_by_one(
        &self,
        tx: &DatabaseTransaction,
        limit: u32,
    ) -> Result<DueChecks, StoreError> {
        use connection_health::Column;
        // To the millisecond, because the job's arguments carry it as a text.
        let now = self.clock().now();
        let at = DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now);
        let rows = connection_health::Entity::find()
            .filter(Column::NextCheckAt.lte(at))
            .order_by_asc(Column::NextCheckAt)
            .limit(u64::from(limit))
            .all(tx)
            .await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(was_due) = row.next_check_at else {
                continue;
            };
            let every = TimeDelta::minutes(i64::from(row.every_minutes.max(1)));
            let missed = (at - was_due).num_milliseconds() / every.num_milliseconds();
            let missed = i32::try_from(missed).unwrap_or(i32::MAX - 1);
            let taken = connection_health::ActiveModel {
                connection_id: Set(row.connection_id),
                asked_at: Set(Some(at)),
                next_check_at: Set(Some(was_due + every * (missed + 1))),
                ..Default::default()
            };
            connection_health::Entity::update(taken).exec(tx).await?;
            due.push(DueCheck {
                connection_id: row.connection_id,
                provider: row.provider,
                was_due,
            });
        }
        Ok(DueChecks { at, due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_that_may_work_are_checked() {
        use ConnectionStatus as S;
        let table = [
            (S::Pending, None),
            (S::Active, Some(5)),
            (S::Error, Some(60)),
            (S::Expired, Some(60)),
            (S::Disabled, None),
            (S::Disconnected, None),
        ];
        for (status, every) in table {
            assert_eq!(every_minutes(status, 5), every, "{status:?}");
        }
    }

    #[test]
    fn the_times_of_an_interval_are_spread_evenly() {
        let mut of_minute = [0_u32; 5];
        for _ in 0..10_000 {
            let place = place(ConnectionId::new(&crate::clock::SystemClock), 5);
            let at = place.num_milliseconds() - 1;
            of_minute[usize::try_from(at / 60_000).unwrap()] += 1;
        }
        for count in of_minute {
            assert!((1_800..2_200).contains(&count), "{of_minute:?}");
        }
    }
}
