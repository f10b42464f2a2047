//! The packed numbers, written: on PostgreSQL whole columns travel as arrays in statements of
//! fixed text; on SQLite, which has no arrays, a row at a time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, sea_query::OnConflict,
};

use super::{Store, StoreError, on_postgres, postgres, readable, uuids};
use crate::{
    entities::{connection_health, health_day, health_ring},
    health::{
        day::{Day, place_of},
        open::Open,
        ring,
    },
    ids::ConnectionId,
};

/// What becomes of a row of `connection_health`.
pub(super) struct Written {
    pub connection: ConnectionId,
    pub at: DateTime<Utc>,
    pub passed: bool,
    pub outcomes: i32,
    pub open: Open,
    pub not_before: Option<DateTime<Utc>>,
}

/// Times are microseconds since 1970; no time is 0. A time that stays is written as it was,
/// so that the row is written in place.
const STATES: &str = "
    update connection_health h
    set last_checked_at = 'epoch'::timestamptz + new.checked * interval '1 microsecond',
        last_passed_at = case when new.passed then 'epoch'::timestamptz + new.checked * interval '1 microsecond'
                              else h.last_passed_at end,
        outcomes = new.outcomes, open = new.open,
        next_check_at = case when new.not_before > 0
            then greatest(h.next_check_at, 'epoch'::timestamptz + new.not_before * interval '1 microsecond')
            else h.next_check_at end
    from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::integer[], $5::bytea[], $6::bigint[])
         as new (id, checked, passed, outcomes, open, not_before)
    where h.connection_id = new.id and h.connection_id = any($1)";

/// Days since 1970.
const DAYS: &str = "
    insert into health_days (connection_id, day, hours)
    select new.id, date '1970-01-01' + new.day, new.hours
    from unnest($1::uuid[], $2::integer[], $3::bytea[]) as new (id, day, hours)
    on conflict (connection_id, day) do update set hours = excluded.hours";

const RINGS: &str = "
    insert into health_rings (connection_id, checks)
    select new.id, new.checks from unnest($1::uuid[], $2::bytea[]) as new (id, checks)
    on conflict (connection_id) do update set checks = excluded.checks";

type OfDay = (ConnectionId, NaiveDate);

impl Store {
    /// Writes the rows that the caller holds; empties those that are full.
    pub(super) async fn write_states(
        &self,
        tx: &DatabaseTransaction,
        mut written: Vec<Written>,
    ) -> Result<(), StoreError> {
        let mut full = Vec::new();
        for state in &mut written {
            if state.open.is_full() {
                full.push((state.connection, std::mem::take(&mut state.open)));
            }
        }
        empty_into_days(tx, &full).await?;
        empty_into_rings(tx, &full).await?;
        if written.is_empty() {
            return Ok(());
        }
        if on_postgres(tx) {
            let values = [
                uuids(written.iter().map(|state| state.connection)),
                of(&written, |state| state.at.timestamp_micros()),
                of(&written, |state| state.passed),
                of(&written, |state| state.outcomes),
                of(&written, |state| state.open.encode()),
                of(&written, |state| {
                    state.not_before.map_or(0, |time| time.timestamp_micros())
                }),
            ];
            tx.execute_raw(postgres(STATES, values)).await?;
            return Ok(());
        }
        for state in written {
            let mut change = connection_health::ActiveModel {
                connection_id: Set(state.connection),
                last_checked_at: Set(Some(state.at)),
                outcomes: Set(state.outcomes),
                open: Set(state.open.encode()),
                ..Default::default()
            };
            if state.passed {
                change.last_passed_at = Set(Some(state.at));
            }
            connection_health::Entity::update(change).exec(tx).await?;
            if let Some(time) = state.not_before {
                use connection_health::Column;
                connection_health::Entity::update_many()
                    .col_expr(Column::NextCheckAt, sea_orm::sea_query::Expr::value(time))
                    .filter(Column::ConnectionId.eq(state.connection))
                    .filter(Column::NextCheckAt.lt(time))
                    .exec(tx)
                    .await?;
            }
        }
        Ok(())
    }
}

fn of<T>(written: &[Written], column: fn(&Written) -> T) -> sea_orm::Value
where
    Vec<T>: Into<sea_orm::Value>,
{
    written.iter().map(column).collect::<Vec<T>>().into()
}

async fn empty_into_days(
    tx: &DatabaseTransaction,
    full: &[(ConnectionId, Open)],
) -> Result<(), StoreError> {
    let mut days: BTreeMap<OfDay, Day> = BTreeMap::new();
    for (connection, open) in full {
        for (hour, tally) in &open.hours {
            let (day, hour) = place_of(*hour);
            days.entry((*connection, day)).or_default().add(hour, tally);
        }
    }
    if days.is_empty() {
        return Ok(());
    }
    let mut which = Condition::any();
    for (connection, day) in days.keys() {
        which = which.add(
            Condition::all()
                .add(health_day::Column::ConnectionId.eq(*connection))
                .add(health_day::Column::Day.eq(*day)),
        );
    }
    for row in health_day::Entity::find().filter(which).all(tx).await? {
        let before = readable("hours", row.connection_id, Day::decode(&row.hours));
        if let Some(day) = days.get_mut(&(row.connection_id, row.day)) {
            before
                .0
                .iter()
                .for_each(|(hour, tally)| day.add(*hour, tally));
        }
    }
    if on_postgres(tx) {
        let epoch = DateTime::UNIX_EPOCH.date_naive();
        let since = |day: &NaiveDate| i32::try_from((*day - epoch).num_days()).unwrap_or(i32::MAX);
        let values = [
            uuids(days.keys().map(|(connection, _)| *connection)),
            days.keys()
                .map(|(_, day)| since(day))
                .collect::<Vec<_>>()
                .into(),
            days.values().map(Day::encode).collect::<Vec<_>>().into(),
        ];
        tx.execute_raw(postgres(DAYS, values)).await?;
        return Ok(());
    }
    let rows = days
        .iter()
        .map(|((connection, day), counts)| health_day::ActiveModel {
            connection_id: Set(*connection),
            day: Set(*day),
            hours: Set(counts.encode()),
        });
    let conflict = OnConflict::columns([health_day::Column::ConnectionId, health_day::Column::Day])
        .update_column(health_day::Column::Hours)
        .to_owned();
    health_day::Entity::insert_many(rows)
        .on_conflict(conflict)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

async fn empty_into_rings(
    tx: &DatabaseTransaction,
    full: &[(ConnectionId, Open)],
) -> Result<(), StoreError> {
    if full.is_empty() {
        return Ok(());
    }
    let ids = full.iter().map(|(connection, _)| *connection);
    let mut rings: BTreeMap<ConnectionId, Vec<ring::Check>> = BTreeMap::new();
    let rows = health_ring::Entity::find()
        .filter(health_ring::Column::ConnectionId.is_in(ids))
        .all(tx)
        .await?;
    for row in rows {
        let checks = readable("checks", row.connection_id, ring::decode(&row.checks));
        rings.insert(row.connection_id, checks);
    }
    for (connection, open) in full {
        rings
            .entry(*connection)
            .or_default()
            .extend_from_slice(&open.checks);
    }
    if on_postgres(tx) {
        let values = [
            uuids(rings.keys().copied()),
            rings
                .values()
                .map(|checks| ring::encode(checks))
                .collect::<Vec<_>>()
                .into(),
        ];
        tx.execute_raw(postgres(RINGS, values)).await?;
        return Ok(());
    }
    let rows = rings
        .iter()
        .map(|(connection, checks)| health_ring::ActiveModel {
            connection_id: Set(*connection),
            checks: Set(ring::encode(checks)),
        });
    let conflict = OnConflict::column(health_ring::Column::ConnectionId)
        .update_column(health_ring::Column::Checks)
        .to_owned();
    health_ring::Entity::insert_many(rows)
        .on_conflict(conflict)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
