//! Limits per hour and per day that matter more than a rate: counted in the database, so
//! that a fleet keeps them together and a restart forgets nothing.
//!
//! A connection has one row per span. A row whose window is over counts as empty and is
//! reused, so the table does not grow with time.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, Iterable, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{LockType, OnConflict},
};
use serde::Serialize;

use super::{Store, StoreError};
pub use crate::entities::quota::Span;
use crate::{
    entities::quota::{ActiveModel, Column, Entity, Model},
    ids::{ConnectionId, OrgId},
    quota::Limits,
};

impl Span {
    /// How long a window is.
    #[must_use]
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }

    /// When the window of this time began.
    #[must_use]
    pub fn start(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.duration_trunc(self.length())
            .expect("an hour or a day divides the time since 1970, and at is within chrono's range")
    }

    /// When the window of this time ends.
    #[must_use]
    pub fn end(self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.start(at) + self.length()
    }
}

/// How much of a window is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Which window.
    #[serde(skip)]
    pub span: Span,
    /// So much.
    pub used: u32,
    /// Of so much; `None`: there is no limit.
    pub limit: Option<u32>,
    /// When the count begins anew.
    pub resets_at: DateTime<Utc>,
}

impl Usage {
    /// Whether nothing more fits in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit)
    }
}

/// What became of the wish to use one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is counted.
    Yes,
    /// Nothing is counted: this window is full. Of several the one that ends last.
    Full(Usage),
}

impl Store {
    /// Counts one in the windows of `at`, in the caller's transaction, unless a window is
    /// full. Another transaction that counts for the connection waits until this one ends.
    ///
    /// # Errors
    /// The database.
    pub async fn take_quota(
        &self,
        tx: &DatabaseTransaction,
        (org, connection): (OrgId, ConnectionId),
        limits: Limits,
        at: DateTime<Utc>,
    ) -> Result<Taken, StoreError> {
        let fresh = Span::iter().map(|span| ActiveModel {
            connection_id: Set(connection),
            span: Set(span),
            org_id: Set(org),
            starts_at: Set(span.start(at)),
            used: Set(0),
        });
        Entity::insert_many(fresh)
            .on_conflict(
                OnConflict::columns([Column::ConnectionId, Column::Span])
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await?;
        let rows = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .order_by_asc(Column::Span)
            .lock(LockType::NoKeyUpdate)
            .all(tx)
            .await?;
        if let Some(full) = last_full(&usages(&rows, limits, at)) {
            return Ok(Taken::Full(full));
        }
        for row in rows {
            let (starts_at, used) = standing(&row, at);
            set(tx, &row, starts_at, used.saturating_add(1)).await?;
        }
        Ok(Taken::Yes)
    }

    /// Takes back what was counted at `at`, because nothing came of it. A window that is
    /// over meanwhile stays as it is.
    ///
    /// # Errors
    /// The database.
    pub async fn give_back_quota(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let rows = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .order_by_asc(Column::Span)
            .lock(LockType::NoKeyUpdate)
            .all(tx)
            .await?;
        for row in rows {
            if row.starts_at == row.span.start(at) && row.used > 0 {
                set(tx, &row, row.starts_at, row.used - 1).await?;
            }
        }
        Ok(())
    }

    /// How much of its windows a connection has used, the hour first.
    ///
    /// # Errors
    /// The database.
    pub async fn quota_usage(
        &self,
        db: &impl ConnectionTrait,
        (org, connection): (OrgId, ConnectionId),
        limits: Limits,
        at: DateTime<Utc>,
    ) -> Result<[Usage; 2], StoreError> {
        let rows = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::OrgId.eq(org))
            .all(db)
            .await?;
        Ok(usages(&rows, limits, at))
    }
}

/// The full window that ends last, if any is full.
#[must_use]
pub fn last_full(usages: &[Usage]) -> Option<Usage> {
    let full = usages.iter().copied().filter(Usage::is_full);
    full.max_by_key(|usage| usage.resets_at)
}

fn usages(rows: &[Model], limits: Limits, at: DateTime<Utc>) -> [Usage; 2] {
    [Span::Hour, Span::Day].map(|span| {
        let row = rows.iter().find(|row| row.span == span);
        let (starts_at, used) = row.map_or((span.start(at), 0), |row| standing(row, at));
        Usage {
            span,
            used: u32::try_from(used).unwrap_or(0),
            limit: limits.of(span),
            resets_at: starts_at + span.length(),
        }
    })
}

/// Begin and count of the window that a row stands for at this time. A window that begins
/// later than the one of `at` was begun by somebody whose look at the clock came later.
fn standing(row: &Model, at: DateTime<Utc>) -> (DateTime<Utc>, i32) {
    let now = row.span.start(at);
    if row.starts_at < now {
        (now, 0)
    } else {
        (row.starts_at, row.used)
    }
}

async fn set(
    tx: &DatabaseTransaction,
    row: &Model,
    starts_at: DateTime<Utc>,
    used: i32,
) -> Result<(), StoreError> {
    Entity::update_many()
        .set(ActiveModel {
            starts_at: Set(starts_at),
            used: Set(used),
            ..Default::default()
        })
        .filter(Column::ConnectionId.eq(row.connection_id))
        .filter(Column::Span.eq(row.span))
        .exec(tx)
        .await?;
    Ok(())
}
