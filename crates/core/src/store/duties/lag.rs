//! How long what the duties of schedulers are there for has waited: the oldest row of each,
//! found through an index. (Of due jobs without a hint there is no such number: those of all
//! orgs and lanes in the order of their times are in no index.)

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Statement};

use super::{Store, StoreError};

/// The process that has been dead for longest while jobs are still its own. `$1`: now.
const DEAD: &str = "
    select lease_until as since from processes p
    where ended_at is null and lease_until < $1
      and (select true from jobs where leased_by = p.id limit 1)
    order by lease_until limit 1";

/// The grant whose refresh is due for longest, of those that are refreshed: as
/// [`Store::take_due_refreshes`] takes them. Grants of connections that are switched off stay
/// due: of the first thousand. `$1`: now.
const DUE: &str = "
    select refresh_due_at as since from (
        select refresh_due_at, connection_id from credentials
        where refresh_due_at is not null and refresh_due_at < $1 and revoked_at is null and refused_at is null
        order by refresh_due_at limit 1000) d
    where (select true from connections c
           where c.id = d.connection_id and c.status in ('active', 'error') limit 1)
    order by refresh_due_at limit 1";

impl Store {
    /// How long the jobs of a dead process have waited to be taken back; zero where none do.
    ///
    /// # Errors
    /// The database.
    pub async fn rescue_lag(&self) -> Result<Duration, StoreError> {
        let now = self.jobs().now().await?;
        Ok(waited(now, self.oldest(DEAD, now).await?))
    }

    /// How long the refresh of a grant has been due without a job that does it; zero where
    /// none is.
    ///
    /// # Errors
    /// The database.
    pub async fn refresh_lag(&self) -> Result<Duration, StoreError> {
        let now = self.clock().now();
        Ok(waited(now, self.oldest(DUE, now).await?))
    }

    async fn oldest(
        &self,
        sql: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let backend = self.db().get_database_backend();
        let asked = Statement::from_sql_and_values(backend, sql, [now.into()]);
        match self.db().query_one_raw(asked).await? {
            Some(row) => Ok(Some(row.try_get("", "since")?)),
            None => Ok(None),
        }
    }
}

/// The time since then.
pub(in crate::store) fn waited(now: DateTime<Utc>, since: Option<DateTime<Utc>>) -> Duration {
    let waited = since.map_or(TimeDelta::zero(), |since| now - since);
    waited.to_std().unwrap_or_default()
}
