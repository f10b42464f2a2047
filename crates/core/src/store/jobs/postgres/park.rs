//! Step 10: a connection's work waits for it. The connection's row is locked first:
//! whoever parks a running job holds it too, so none is parked behind an unpark's back.

use sea_orm::DatabaseTransaction;

use super::{job_ids_of, rows, statement};
use crate::{
    ids::{ConnectionId, JobId},
    store::{StoreError, jobs::Due},
};

const LOCK: &str = "select id from connections where id = $1 for no key update";

/// A test may be what makes the connection work again, so it is never parked here.
const PARK: &str = "
    with waiting as materialized (
        select id from jobs
        where connection_id = $1 and state = 'queued' and kind <> 'connection_test'
        order by id for no key update
    )
    update jobs set state = 'parked' where id = any(array(select id from waiting)) returning id";

const UNPARK: &str = "
    with waiting as materialized (
        select id from jobs where connection_id = $1 and state = 'parked' order by id for no key update
    )
    update jobs set state = 'queued', run_at = (select patchbay_now())
    where id = any(array(select id from waiting))
    returning id, turn";

pub(super) async fn park_queued(
    tx: &DatabaseTransaction,
    connection: ConnectionId,
) -> Result<Vec<JobId>, StoreError> {
    rows(tx, statement(LOCK, [connection.into()])).await?;
    let mut parked = job_ids_of(&rows(tx, statement(PARK, [connection.into()])).await?)?;
    parked.sort_unstable();
    Ok(parked)
}

pub(super) async fn unpark(
    tx: &DatabaseTransaction,
    connection: ConnectionId,
) -> Result<Vec<Due>, StoreError> {
    rows(tx, statement(LOCK, [connection.into()])).await?;
    let rows = rows(tx, statement(UNPARK, [connection.into()])).await?;
    let mut due = rows
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
