//! The numbers of a connection, read.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Store, StoreError, readable};
use crate::{
    entities::{connection, connection_health, health_day, health_ring},
    health::{
        Verdict,
        day::Day,
        open::Open,
        ring::{self, Check},
        tally::Tally,
        window::Window,
    },
    ids::ConnectionId,
};

/// A check of the last hundred.
pub type Recent = Check;

/// The counts of an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// When the hour begins.
    pub from: DateTime<Utc>,
    /// What its checks came to.
    pub tally: Tally,
}

/// The numbers of a connection over a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPicture {
    /// When the window begins.
    pub from: DateTime<Utc>,
    /// When it ends: now.
    pub to: DateTime<Utc>,
    /// The checks within it, counted.
    pub tally: Tally,
    /// The same hour by hour, oldest first, hours without checks left out; empty for the
    /// window of one hour.
    pub hours: Vec<Stretch>,
    /// The last checks, newest first, a hundred at most.
    pub last: Vec<Recent>,
    /// When it is checked next; `None` where it is not checked.
    pub next_check_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The numbers of a connection over a window. The connection was found in its org.
    ///
    /// # Errors
    /// The database.
    pub async fn health_picture(
        &self,
        row: &connection::Model,
        window: Window,
    ) -> Result<HealthPicture, StoreError> {
        let to = self.jobs().now().await?;
        let from = window.begins(to);
        let state = connection_health::Entity::find_by_id(row.id)
            .one(self.db())
            .await?;
        let open = match &state {
            Some(state) => readable("open", row.id, Open::decode(&state.open)),
            None => Open::default(),
        };
        let every = state
            .as_ref()
            .map_or(row.health_interval_minutes, |state| state.every_minutes);
        let mut last = self.ring_of(row.id).await?;
        last.extend_from_slice(&open.checks);
        let hours = match window {
            Window::Hour => Vec::new(),
            Window::Day | Window::Week | Window::Month => {
                self.hours_of(row.id, &open, from).await?
            }
        };
        let tally = match window {
            Window::Hour => single_checks(&last, from, every),
            Window::Day | Window::Week | Window::Month => {
                hours.iter().fold(Tally::default(), |mut all, hour| {
                    all.merge(&hour.tally);
                    all
                })
            }
        };
        last.reverse();
        last.truncate(ring::KEPT);
        Ok(HealthPicture {
            from,
            to,
            tally,
            hours,
            last,
            next_check_at: state.and_then(|state| state.next_check_at),
        })
    }

    /// Puts the times of the last check and the last success into rows as people see them:
    /// a check that passes does not write the connection's own row.
    ///
    /// # Errors
    /// The database.
    pub async fn with_last_checks(&self, rows: &mut [connection::Model]) -> Result<(), StoreError> {
        let ids: Vec<ConnectionId> = rows.iter().map(|row| row.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let states = self.check_states(&ids).await?;
        for state in states {
            for row in rows.iter_mut().filter(|row| row.id == state.connection_id) {
                row.last_checked_at = row.last_checked_at.max(state.last_checked_at);
                row.last_success_at = row.last_success_at.max(state.last_passed_at);
            }
        }
        Ok(())
    }

    async fn ring_of(&self, id: ConnectionId) -> Result<Vec<Check>, StoreError> {
        let row = health_ring::Entity::find_by_id(id).one(self.db()).await?;
        Ok(row.map_or_else(Vec::new, |row| {
            readable("checks", id, ring::decode(&row.checks))
        }))
    }

    async fn hours_of(
        &self,
        id: ConnectionId,
        open: &Open,
        from: DateTime<Utc>,
    ) -> Result<Vec<Stretch>, StoreError> {
        let rows = health_day::Entity::find()
            .filter(health_day::Column::ConnectionId.eq(id))
            .filter(health_day::Column::Day.gte(from.date_naive()))
            .all(self.db())
            .await?;
        let mut hours = std::collections::BTreeMap::<DateTime<Utc>, Tally>::new();
        for row in rows {
            let day = readable("hours", id, Day::decode(&row.hours));
            let midnight = row.day.and_time(chrono::NaiveTime::MIN).and_utc();
            for (hour, tally) in &day.0 {
                let begins = midnight + TimeDelta::hours(i64::from(*hour));
                hours.entry(begins).or_default().merge(tally);
            }
        }
        for (hour, tally) in &open.hours {
            let begins = DateTime::from_timestamp(hour * 3600, 0).unwrap_or_default();
            hours.entry(begins).or_default().merge(tally);
        }
        Ok(hours
            .range(from..)
            .map(|(from, tally)| Stretch {
                from: *from,
                tally: tally.clone(),
            })
            .collect())
    }
}

/// Single checks since a time, counted; each stands for the time since the one before it.
fn single_checks(checks: &[Check], from: DateTime<Utc>, every_minutes: i32) -> Tally {
    let mut tally = Tally::default();
    let most = i64::from(every_minutes.max(1)) * 120;
    let mut before: Option<DateTime<Utc>> = None;
    for check in checks {
        let span = before.map_or(0, |before| (check.at - before).num_seconds());
        if check.at >= from {
            let span = u32::try_from(span.clamp(0, most)).unwrap_or(0);
            tally.add(Verdict::of(check.failure), check.response_ms, span);
        }
        before = Some(check.at);
    }
    tally
}
