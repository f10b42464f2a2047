//! What is wrong at this moment, in bounded pages.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{
    super::{Store, StoreError},
    limits::{Patience, failed_enough},
    waiting::Place,
};
use crate::{
    alerts::{AlertKind, BOUNDS},
    connection::ConnectionStatus,
    ids::{ConnectionId, OrgId},
    job::Queue,
};

/// Of dead jobs, of jobs that wait and of connections that failed, more than this are not counted
/// or looked through at once.
pub(super) const LOOKED_THROUGH: u32 = 1_000;
/// Late schedules that are counted.
const LATE_COUNTED: u32 = 10_000;

/// Said as the index `connections_wrong` says it, so that the planner knows it again.
const WRONG: &str = "(c.status in ('error', 'expired') or (c.status = 'active' and (c.health = 'failing' or c.error_count >= 1)))";
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
    enough: bool,
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
    /// Connections that are in error, expired, or have failed as often as their org allows, of
    /// the next [`LOOKED_THROUGH`] by id after `after` in which anything failed; and where to
    /// go on, if there may be more. An outage makes everybody fail once, so what is looked at
    /// is bounded and not what is found.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn wrong_connections(
        &self,
        after: Option<ConnectionId>,
    ) -> Result<(Vec<Cause>, Option<ConnectionId>), StoreError> {
        let after = after.unwrap_or(ConnectionId(Uuid::nil()));
        let sql = format!(
            "select c.id, c.org_id, c.status, c.error_count,
                 (c.status <> 'active' or {enough}) as enough
             from (select c.id, c.org_id, c.status, c.health, c.error_count from connections c
                   where {WRONG} and c.id > $1 order by c.id limit {LOOKED_THROUGH}) c
             left join alert_limits l on l.org_id = c.org_id order by c.id",
            enough = failed_enough()
        );
        let rows = WrongConnection::find_by_statement(self.asked(&sql, [after.into()]))
            .all(self.db())
            .await?;
        let is_last = rows.len() < LOOKED_THROUGH as usize;
        let last = rows.last().filter(|_| !is_last).map(|row| row.id);
        let kind = |status| match status {
            ConnectionStatus::Error => AlertKind::CredentialRefused,
            ConnectionStatus::Expired => AlertKind::ConsentExpired,
            ConnectionStatus::Active
            | ConnectionStatus::Pending
            | ConnectionStatus::Disabled
            | ConnectionStatus::Disconnected => AlertKind::ConnectionFailing,
        };
        let wrong = rows.iter().filter(|row| row.enough);
        let causes = wrong.map(|row| Cause {
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

    /// Orgs with schedules whose tick has waited for longer than the org allows.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn orgs_with_late_schedules(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<Cause>, StoreError> {
        let sql = format!(
            "select late.org_id, count(*) as seen from ({late}) late
             left join alert_limits l on l.org_id = late.org_id
             where late.next_at < {too_long_ago} group by late.org_id",
            late = late_schedules("$2"),
            too_long_ago = self.too_long_ago("$1", Patience::Schedules)
        );
        let values = [now.into(), before(now, BOUNDS.shortest).into()];
        let rows = OrgCount::find_by_statement(self.asked(&sql, values))
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

    /// Orgs with a job that waits for a worker for longer than the org allows: a step through
    /// the indexes of due jobs for each org that has any, not for each job.
    ///
    /// # Errors
    /// The database.
    pub(super) async fn orgs_with_old_jobs(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<Cause>, StoreError> {
        let too_long_ago = self.too_long_ago("$1", Patience::Queues);
        let mut orgs = BTreeSet::new();
        for queue in Queue::ALL {
            for place in Place::ALL {
                let of = place.queued(queue);
                let sql = format!(
                    "with recursive turns (turn) as (
                         select (select turn from jobs where {of} order by turn limit 1)
                         union all
                         select (select j.turn from jobs j where {of} and j.turn > turns.turn
                                 order by j.turn limit 1)
                         from turns where turns.turn is not null)
                     select turn from turns left join alert_limits l on l.org_id = turns.turn
                     where turn is not null and {waits}",
                    waits = place.waits_too_long(queue, "turns.turn", &too_long_ago)
                );
                let rows = self
                    .db()
                    .query_all_raw(self.asked(&sql, [now.into()]))
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

    /// Whether the cause of an open alert of this kind, `a`, is gone, as SQL; `l` are the
    /// limits of its org, if it has set any, `$2` the present where time matters, and `$3` for
    /// schedules what no org calls late yet.
    pub(super) fn gone(&self, kind: AlertKind) -> String {
        let connection = |condition: &str| {
            format!(
                "not exists (select 1 from connections c where c.id = a.connection_id and {condition})"
            )
        };
        match kind {
            AlertKind::ConnectionFailing => {
                connection(&format!("c.status = 'active' and {}", failed_enough()))
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
            // What is late is read once for all alerts, by the index of due times. Where that is
            // more than is counted, an org may have late ones behind the last that was read.
            AlertKind::SchedulesLate => {
                let too_long_ago = self.too_long_ago("$2", Patience::Schedules);
                let late = late_schedules("$3");
                format!(
                    "a.org_id not in (select late.org_id from ({late}) late
                         left join alert_limits l on l.org_id = late.org_id
                         where late.next_at < {too_long_ago})
                     and coalesce((select case when count(*) >= {LATE_COUNTED} then max(late.next_at) end
                         from ({late}) late) >= {too_long_ago}, true)"
                )
            }
            AlertKind::QueueOld => {
                let too_long_ago = self.too_long_ago("$2", Patience::Queues);
                // As far as the look that raises it goes, and through the same indexes.
                let none = |queue: &Queue| {
                    Place::ALL.map(|place| {
                        let waits = place.waits_too_long(*queue, "a.org_id", &too_long_ago);
                        format!("not {waits}")
                    })
                };
                let all: Vec<String> = Queue::ALL.iter().flat_map(none).collect();
                all.join(" and ")
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

/// The schedules that were due before `since`, the longest due first, as SQL.
fn late_schedules(since: &str) -> String {
    format!(
        "select org_id, next_at from schedules
         where paused_at is null and next_at is not null and next_at < {since}
         order by next_at limit {LATE_COUNTED}"
    )
}

/// What was due before this moment has waited for longer than `by`.
pub(super) fn before(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    now.checked_sub_signed(by).unwrap_or(DateTime::UNIX_EPOCH)
}
