//! The dead-letter queue of an org, in groups: what failed alike. One dead job is read in
//! `super::job_reads` and moved in `super::jobs`; here are the moves of many at once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement, Value};

use super::{Store, StoreError};
use crate::ids::{JobId, OrgId};

/// Jobs that one request moves at most: half a second of an `update`, and all of it, its event
/// and its idempotency row are one transaction.
pub const AT_ONCE: u64 = 10_000;
const _: () = assert!(AT_ONCE == 10_000, "the statements say it in SQL");

/// Dead jobs that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct DeadGroup {
    /// Kind of job, provider (`-` for none), class of failure, fingerprint of its words.
    pub dead_group: String,
    /// How many.
    pub jobs: i64,
    /// When the first of them died.
    pub first_at: DateTime<Utc>,
    /// When the last of them died.
    pub last_at: DateTime<Utc>,
    /// The newest of them.
    pub example: String,
}

/// The dead-letter queue in groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroups {
    /// Those that grew last, first.
    pub groups: Vec<DeadGroup>,
    /// How many there are in all.
    pub total_groups: i64,
    /// How many jobs there are in all.
    pub total_jobs: i64,
}

/// What a retry of many would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct RetryPreview {
    /// Dead jobs that were asked for.
    pub matched: i64,
    /// Of them: those that would go back to work.
    pub retryable: i64,
    /// Their sealed arguments are gone.
    pub secret_gone: i64,
    /// The same work waits or runs as another job already.
    pub already_open: i64,
    /// The same work is asked for by a newer dead job, which goes instead.
    pub superseded: i64,
}

/// The dead jobs of an org ($1), of a group ($2) or all of them, and what holds each back.
macro_rules! judged {
    () => {
        "select id, case
            when sealed is null and sealed_key is not null then 'secret_gone'
            when dedupe_key is not null and exists (
                select 1 from jobs twin where twin.dedupe_key = jobs.dedupe_key
                  and twin.state in ('queued', 'parked', 'running') and twin.dedupe_key is not null)
                then 'already_open'
            when dedupe_key is not null
                 and row_number() over (partition by dedupe_key order by id desc) > 1 then 'superseded'
            else 'retryable' end as verdict
        from jobs
        where org_id = $1 and state in ('failed', 'quarantined') and discarded_at is null"
    };
}

const PREVIEW: (&str, &str) = (
    concat!(
        "select count(*) as matched,
            count(case when verdict = 'retryable' then 1 end) as retryable,
            count(case when verdict = 'secret_gone' then 1 end) as secret_gone,
            count(case when verdict = 'already_open' then 1 end) as already_open,
            count(case when verdict = 'superseded' then 1 end) as superseded
        from (",
        judged!()
    ),
    ") judged",
);

const RETRYABLE: (&str, &str) = (
    concat!("select id from (", judged!()),
    ") judged where verdict = 'retryable' order by id limit 10000",
);

const DISCARDABLE: (&str, &str) = (
    "select id from jobs
     where org_id = $1 and state in ('failed', 'quarantined') and discarded_at is null",
    " order by id limit 10000",
);

const COUNT: (&str, &str) = (
    "select count(*) as jobs from jobs
     where org_id = $1 and state in ('failed', 'quarantined') and discarded_at is null",
    "",
);

/// $1 org, $2 at most.
macro_rules! groups {
    ($example:literal) => {
        concat!(
            "select coalesce(dead_group, kind || ':-:unknown') as dead_group, count(*) as jobs,
                min(finished_at) as first_at, max(finished_at) as last_at, ",
            $example,
            " as example
            from jobs
            where org_id = $1 and state in ('failed', 'quarantined') and discarded_at is null
            group by 1 order by max(finished_at) desc, 1 limit $2"
        )
    };
}

const TOTALS: &str = "
    select count(*) as jobs, count(distinct coalesce(dead_group, kind || ':-:unknown')) as groups
    from jobs where org_id = $1 and state in ('failed', 'quarantined') and discarded_at is null";

/// $1 ids, $2 delays in ms, by place.
const RETRY_POSTGRES: &str = "
    update jobs
    set state = 'queued', run_at = patchbay_now() + asked.delay_ms * interval '1 millisecond',
        attempt = 0, crashes = 0, again = false, error = null, dead_group = null,
        finished_at = null, discarded_at = null
    from unnest($1::uuid[], $2::bigint[]) as asked (id, delay_ms)
    where jobs.id = asked.id and state in ('failed', 'quarantined') and discarded_at is null";

/// ?1 id, ?2 run_at.
const RETRY_SQLITE: &str = "
    update jobs
    set state = 'queued', run_at = ?2, attempt = 0, crashes = 0, again = false, error = null,
        dead_group = null, finished_at = null, discarded_at = null
    where id = ?1 and state in ('failed', 'quarantined') and discarded_at is null";

const DISCARD_POSTGRES: &str = "
    update jobs set discarded_at = patchbay_now(), sealed = null
    where id = any($1) and state in ('failed', 'quarantined') and discarded_at is null";

/// ?1 id, ?2 now.
const DISCARD_SQLITE: &str = "
    update jobs set discarded_at = ?2, sealed = null
    where id = ?1 and state in ('failed', 'quarantined') and discarded_at is null";

impl Store {
    /// The dead-letter queue of an org, in at most `limit` groups.
    ///
    /// # Errors
    /// The database.
    pub async fn dead_groups(&self, org: OrgId, limit: u64) -> Result<DeadGroups, StoreError> {
        let sql = match self.db().get_database_backend() {
            // PostgreSQL knows no greatest uuid; ids sort as texts too.
            DbBackend::Postgres => groups!("max(id::text)"),
            _ => groups!("lower(hex(max(id)))"),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let groups = DeadGroup::find_by_statement(self.statement(sql, [org.into(), limit.into()]))
            .all(self.db())
            .await?;
        let totals = self
            .db()
            .query_one_raw(self.statement(TOTALS, [org.into()]))
            .await?;
        let (total_jobs, total_groups) = match totals {
            Some(row) => (row.try_get("", "jobs")?, row.try_get("", "groups")?),
            None => (0, 0),
        };
        Ok(DeadGroups {
            groups,
            total_groups,
            total_jobs,
        })
    }

    /// What a retry of a group, or of all dead jobs, would do.
    ///
    /// # Errors
    /// The database.
    pub async fn preview_dead_retry(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        group: Option<&str>,
    ) -> Result<RetryPreview, StoreError> {
        let preview = RetryPreview::find_by_statement(self.of_group(PREVIEW, org, group))
            .one(db)
            .await?;
        Ok(preview.unwrap_or_default())
    }

    /// How many dead jobs a group, or the org, has.
    ///
    /// # Errors
    /// The database.
    pub async fn count_dead(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        group: Option<&str>,
    ) -> Result<i64, StoreError> {
        let row = db.query_one_raw(self.of_group(COUNT, org, group)).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get("", "jobs"))?)
    }

    /// Sends the retryable dead jobs of a group, or of the org, back to work: at most
    /// [`AT_ONCE`], the oldest first, the first after `delay` and each next one `apart` later.
    /// How many, and after how long the last is due.
    ///
    /// # Errors
    /// The database; [`StoreError::is_a_twin`] where the same work was asked for in between.
    pub async fn retry_dead(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        group: Option<&str>,
        delay: Duration,
        apart: Duration,
    ) -> Result<(u64, Duration), StoreError> {
        let ids = ids(tx, self.of_group(RETRYABLE, org, group)).await?;
        let delays: Vec<Duration> = (0..u32::try_from(ids.len()).unwrap_or(u32::MAX))
            .map(|place| delay + apart.saturating_mul(place))
            .collect();
        let last = delays.last().copied().unwrap_or_default();
        if self.is_one_process() {
            let now = self.jobs().now().await?;
            let mut done = 0;
            for (id, delay) in ids.iter().zip(&delays) {
                let run_at = now + TimeDelta::from_std(*delay).unwrap_or_default();
                let moved = self.statement(RETRY_SQLITE, [(*id).into(), run_at.into()]);
                done += tx.execute_raw(moved).await?.rows_affected();
            }
            return Ok((done, last));
        }
        let delays: Vec<i64> = delays
            .iter()
            .map(|delay| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
            .collect();
        let moved = self.statement(RETRY_POSTGRES, [uuids(&ids), delays.into()]);
        Ok((tx.execute_raw(moved).await?.rows_affected(), last))
    }

    /// Takes the dead jobs of a group, or of the org, out of the dead-letter queue, at most
    /// [`AT_ONCE`]. How many.
    ///
    /// # Errors
    /// The database.
    pub async fn discard_dead(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        group: Option<&str>,
    ) -> Result<u64, StoreError> {
        let ids = ids(tx, self.of_group(DISCARDABLE, org, group)).await?;
        if !self.is_one_process() {
            let moved = self.statement(DISCARD_POSTGRES, [uuids(&ids)]);
            return Ok(tx.execute_raw(moved).await?.rows_affected());
        }
        let now = self.jobs().now().await?;
        let mut done = 0;
        for id in ids {
            let moved = self.statement(DISCARD_SQLITE, [id.into(), now.into()]);
            done += tx.execute_raw(moved).await?.rows_affected();
        }
        Ok(done)
    }

    fn of_group(&self, sql: (&str, &str), org: OrgId, group: Option<&str>) -> Statement {
        let mut values: Vec<Value> = vec![org.into()];
        let condition = match group {
            Some(group) => {
                values.push(group.into());
                " and dead_group = $2"
            }
            None => "",
        };
        let sql = [sql.0, condition, sql.1].concat();
        Statement::from_sql_and_values(self.db().get_database_backend(), sql, values)
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.db().get_database_backend(), sql, values)
    }
}

fn uuids(ids: &[JobId]) -> Value {
    ids.iter().map(|id| id.0).collect::<Vec<_>>().into()
}

async fn ids(db: &impl ConnectionTrait, statement: Statement) -> Result<Vec<JobId>, StoreError> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
}
