//! Step 10: a connection's work waits for it.

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::{job_ids, rows};
use crate::{
    ids::{ConnectionId, JobId},
    store::{StoreError, jobs::Due},
};

/// A test may be what makes the connection work again, so it is never parked here.
const PARK: &str = "
    update jobs set state = 'parked'
    where connection_id = ?1 and state = 'queued' and kind <> 'connection_test'
    returning id";

const UNPARK: &str = "
    update jobs set state = 'queued', run_at = ?2 where connection_id = ?1 and state = 'parked'
    returning id, turn";

pub(super) async fn park_queued(
    tx: &DatabaseTransaction,
    connection: ConnectionId,
) -> Result<Vec<JobId>, StoreError> {
    let mut parked = job_ids(tx, PARK, [connection.into()]).await?;
    parked.sort_unstable();
    Ok(parked)
}

pub(super) async fn unpark(
    tx: &DatabaseTransaction,
    connection: ConnectionId,
    now: DateTime<Utc>,
) -> Result<Vec<Due>, StoreError> {
    let mut due = rows(tx, UNPARK, [connection.into(), now.into()])
        .await?
        .iter()
        .map(|row| {
            Ok(Due {
                job: row.try_get("", "id")?,
                turn: row.try_get("", "turn")?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    due.sort_by_key(|due| due.job);
    Ok(due)
}
