//! What is wrong at this moment, in bounded pages.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::super::{Store, StoreError};
use crate::{
    alerts::AlertKind,
    connection::ConnectionStatus,
    ids::{ConnectionId, OrgId},
    job::Queue,
};

/// Of dead jobs and of laned jobs that wait, more than this are not counted or looked through.
const LOOKED_THROUGH: u32 = 1_000;
/// Late schedules that are counted.
const LATE_COUNTED: u32 = 10_000;

/// Said as the index `connections_wrong` says it, so that the planner knows it again.
const WRONG: &str = "(status in ('error', 'expired') or (status = 'active' and (health = 'failing' or error_count >= 3)))";
/// Said as the index `jobs_dead_causes` says it.
const DEAD: &str = "state in ('failed', 'quarantined') and discarded_at is null";

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// Whose.
    pub(super) org: OrgId,
    /// What.
    pub(super) kind: AlertKind,
    /// With which connection.
    pub(super) connection: Option<ConnectionId>,
    /// Failures in a row, dead jobs, late schedules: what can grow.
    pub(super) seen: i64,
}

/// Where a walk through the dead-letter queues stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeadPlace {
    org: OrgId,
    connection: Uuid,
}

impl Default for DeadPlace {
    fn default() -> Self {
        Self {
            org: OrgId(Uuid::nil()),
            connection: Uuid::nil(),
        }
    }
}

#[derive(FromQueryResult)]
struct WrongConnection {
    id: ConnectionId,
    org_id: OrgId,
    status: ConnectionStatus,
    error_count: i32,
}

#[derive(FromQueryResult)]
struct DeadCause {
    org_id: OrgId,
    connection_id: Option<ConnectionId>,
}

#[derive(FromQueryResult)]
struct OrgCount {
    org_id: OrgId,
    seen: i64,
}

impl Store {
    /// Connections that are in error, expired or failing, by id, after `after`.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn wrong_connections(
        &self,
        after: Option<ConnectionId>,
        limit: u32,
    ) -> Result<(Vec<Cause>, Option<ConnectionId>), StoreError> {
        let after = after.unwrap_or(ConnectionId(Uuid::nil()));
        let sql = format!(
            "select id, org_id, status, error_count from connections
             where {WRONG} and id > $1 order by id limit {limit}"
        );
        let rows = WrongConnection::find_by_statement(self.asked(&sql, [after.into()]))
            .all(self.db())
            .await?;
        let last = rows.last().map(|row| row.id);
        let kind = |status| match status {
            ConnectionStatus::Error => AlertKind::CredentialRefused,
            ConnectionStatus::Expired => AlertKind::ConsentExpired,
            ConnectionStatus::Active
            | ConnectionStatus::Pending
            | ConnectionStatus::Disabled
            | ConnectionStatus::Disconnected => AlertKind::ConnectionFailing,
        };
        let causes = rows.iter().map(|row| Cause {
            org: row.org_id,
            kind: kind(row.status),
            connection: Some(row.id),
            seen: i64::from(row.error_count.max(1)),
        });
        Ok((causes.collect(), last))
    }

    /// The next org and connection with dead jobs; one step through an index, however many
    /// dead jobs there are.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn next_dead(
        &self,
        after: DeadPlace,
    ) -> Result<Option<(Cause, DeadPlace)>, StoreError> {
        let of = self.connection_or_nil();
        let sql = format!(
            "select org_id, connection_id from jobs
             where {DEAD} and org_id is not null and (org_id, {of}) > ($1, $2)
             order by org_id, {of} limit 1"
        );
        let values = [after.org.into(), after.connection.into()];
        let Some(row) = DeadCause::find_by_statement(self.asked(&sql, values))
            .one(self.db())
            .await?
        else {
            return Ok(None);
        };
        let place = DeadPlace {
            org: row.org_id,
            connection: row.connection_id.map_or(Uuid::nil(), |id| id.0),
        };
        let sql = format!(
            "select count(*) as seen from (select 1 from jobs
             where {DEAD} and org_id = $1 and {of} = $2 limit {LOOKED_THROUGH}) dead"
        );
        let values = [place.org.into(), place.connection.into()];
        let counted = self.db().query_one_raw(self.asked(&sql, values)).await?;
        let seen: i64 = match counted {
            Some(counted) => counted.try_get("", "seen")?,
            None => 0,
        };
        let cause = Cause {
            org: row.org_id,
            kind: AlertKind::DeadJobs,
            connection: row.connection_id,
            seen: seen.max(1),
        };
        Ok(Some((cause, place)))
    }

    /// Orgs with schedules whose tick has waited for longer than `behind`.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn orgs_with_late_schedules(
        &self,
        now: DateTime<Utc>,
        behind: Duration,
    ) -> Result<Vec<Cause>, StoreError> {
        let sql = format!(
            "select org_id, count(*) as seen from (select org_id from schedules
             where paused_at is null and next_at is not null and next_at < $1
             order by next_at limit {LATE_COUNTED}) late group by org_id"
        );
        let rows = OrgCount::find_by_statement(self.asked(&sql, [before(now, behind).into()]))
            .all(self.db())
            .await?;
        let causes = rows.iter().map(|row| Cause {
            org: row.org_id,
            kind: AlertKind::SchedulesLate,
            connection: None,
            seen: row.seen,
        });
        Ok(causes.collect())
    }

    /// Orgs with a job that has been due for longer than `age`: a step through the indexes
    /// of due jobs for each org that has any, not for each job.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn orgs_with_old_jobs(
        &self,
        now: DateTime<Utc>,
        age: Duration,
    ) -> Result<Vec<Cause>, StoreError> {
        let due_before = before(now, age);
        let mut orgs = BTreeSet::new();
        for queue in Queue::ALL {
            for lane in ["lane is null", "lane is not null"] {
                let of = format!("state = 'queued' and {lane} and queue = '{}'", queue.name());
                let sql = format!(
                    "with recursive turns (turn) as (
                         select (select turn from jobs where {of} order by turn limit 1)
                         union all
                         select (select j.turn from jobs j where {of} and j.turn > turns.turn
                                 order by j.turn limit 1)
                         from turns where turns.turn is not null)
                     select turn from turns where turn is not null and exists (
                         select 1 from (select run_at from jobs j
                                        where {of} and j.turn = turns.turn
                                        order by {order} limit {LOOKED_THROUGH}) waiting
                         where run_at < $1)",
                    order = match lane {
                        "lane is null" => "j.run_at",
                        _ => "j.lane, j.id",
                    },
                );
                let rows = self
                    .db()
                    .query_all_raw(self.asked(&sql, [due_before.into()]))
                    .await?;
                for row in rows {
                    orgs.insert(row.try_get::<OrgId>("", "turn")?);
                }
            }
        }
        orgs.remove(&OrgId::DEPLOYMENT);
        let causes = orgs.into_iter().map(|org| Cause {
            org,
            kind: AlertKind::QueueOld,
            connection: None,
            seen: 1,
        });
        Ok(causes.collect())
    }

    /// Whether the cause of an open alert of this kind, `a`, is gone, as SQL; `$2` is the
    /// moment before which what waits has waited too long.
    pub(super) fn gone(&self, kind: AlertKind) -> String {
        let connection = |condition: &str| {
            format!(
                "not exists (select 1 from connections c where c.id = a.connection_id and {condition})"
            )
        };
        match kind {
            AlertKind::ConnectionFailing => {
                connection("c.status = 'active' and (c.health = 'failing' or c.error_count >= 3)")
            }
            AlertKind::CredentialRefused => connection("c.status = 'error'"),
            AlertKind::ConsentExpired => connection("c.status = 'expired'"),
            AlertKind::DeadJobs => {
                let of = self.connection_or_nil();
                let nil = self.nil();
                format!(
                    "not exists (select 1 from jobs where {DEAD} and org_id = a.org_id
                     and {of} = coalesce(a.connection_id, {nil}))"
                )
            }
            AlertKind::SchedulesLate => "not exists (select 1 from schedules s
                 where s.org_id = a.org_id and s.paused_at is null and s.next_at < $2)"
                .to_owned(),
            AlertKind::QueueOld => {
                let queues = Queue::ALL
                    .map(|queue| format!("'{}'", queue.name()))
                    .join(", ");
                let none = |lane: &str| {
                    format!(
                        "not exists (select 1 from jobs where state = 'queued' and {lane}
                         and queue in ({queues}) and turn = a.org_id and run_at < $2)"
                    )
                };
                format!("{} and {}", none("lane is null"), none("lane is not null"))
            }
        }
    }

    /// A statement in the dialect of the database.
    pub(super) fn asked(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.db().get_database_backend(), sql, values)
    }

    fn nil(&self) -> &'static str {
        match self.db().get_database_backend() {
            DbBackend::Postgres => "'00000000-0000-0000-0000-000000000000'::uuid",
            _ => "x'00000000000000000000000000000000'",
        }
    }

    fn connection_or_nil(&self) -> String {
        format!("coalesce(connection_id, {})", self.nil())
    }
}

/// What was due before this moment has waited for longer than `by`.
pub(super) fn before(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(by).unwrap_or(DateTime::UNIX_EPOCH)
}
