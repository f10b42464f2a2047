//! On, off, and the end of a connection.

use axum::{Json, extract::State};
use patchbay_core::{
    connection::ConnectionStatus,
    entities::connection,
    ids::{ConnectionId, JobId},
    job::Queue,
};

use super::{ConnectionView, find, hold, hold_connected};
use crate::{
    access::Caller,
    extract::{Body, Id},
    once::{self, Made, Turn, Work},
    problem::{Problem, ProblemBody},
    routes::Empty,
    state::{Announcement, Api},
};

/// Switches a connection on. Its parked jobs go on.
#[utoipa::path(
    post, path = "/connections/{id}/enable", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "On; also if it was on before", body = ConnectionView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected", body = ProblemBody),
    ),
)]
pub async fn enable(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    body: Body<Empty>,
) -> Result<Json<ConnectionView>, Problem> {
    if let Turn::First(mut work) = once::begin(&api, &caller, &body.once).await? {
        let row = hold_connected(&api, &work.tx, &caller, id).await?;
        if row.status == ConnectionStatus::Disabled {
            api.store
                .set_enabled(&work.tx, &row, true, &caller.actor())
                .await?;
            unpark(&api, &mut work, &row).await?;
            work.announcement.connection(caller.org, id);
        }
        work.end(Made::Connection(id, Vec::new())).await?;
    }
    Ok(Json(find(&api, &caller, id).await?.into()))
}

async fn unpark(api: &Api, work: &mut Work<'_>, row: &connection::Model) -> Result<(), Problem> {
    let due = api.store.jobs().unpark(&work.tx, row.id).await?;
    let ids: Vec<JobId> = due.iter().map(|due| due.job).collect();
    let queue_of: Vec<(JobId, Queue)> = api
        .store
        .jobs_by_id(&work.tx, row.org_id, &ids)
        .await?
        .into_iter()
        .map(|job| (job.id, job.queue))
        .collect();
    for due in due {
        let queue = queue_of
            .iter()
            .find(|(id, _)| *id == due.job)
            .map_or(Queue::Sync, |(_, queue)| *queue);
        work.announcement.due(queue, due);
        work.announcement.look_at_job(Some(row.org_id), due.job);
    }
    Ok(())
}

/// Switches a connection off. Its waiting jobs are parked until it is on again; running ones
/// end as they would.
#[utoipa::path(
    post, path = "/connections/{id}/disable", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "Off; also if it was off before", body = ConnectionView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected", body = ProblemBody),
    ),
)]
pub async fn disable(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    body: Body<Empty>,
) -> Result<Json<ConnectionView>, Problem> {
    if let Turn::First(mut work) = once::begin(&api, &caller, &body.once).await? {
        let row = hold_connected(&api, &work.tx, &caller, id).await?;
        if row.status != ConnectionStatus::Disabled {
            api.store
                .set_enabled(&work.tx, &row, false, &caller.actor())
                .await?;
            for job in api.store.jobs().park_queued(&work.tx, id).await? {
                work.announcement.look_at_job(Some(caller.org), job);
            }
            work.announcement.connection(caller.org, id);
        }
        work.end(Made::Connection(id, Vec::new())).await?;
    }
    Ok(Json(find(&api, &caller, id).await?.into()))
}

/// Disconnects: the credential is emptied and open jobs are cancelled in one transaction.
/// Records stay readable. It comes back with its records and cursors when its account is
/// connected again, by consent or with `PUT .../credential`.
#[utoipa::path(
    delete, path = "/connections/{id}", tag = "connections", params(("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "Disconnected; also if it was before", body = ConnectionView),
        (status = 404, body = ProblemBody),
    ),
)]
pub async fn disconnect(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
) -> Result<Json<ConnectionView>, Problem> {
    let tx = api.store.begin().await?;
    let mut announcement = Announcement::default();
    let row = hold(&api, &tx, &caller, id).await?;
    if row.status != ConnectionStatus::Disconnected {
        let ended = api.store.disconnect(&tx, &row, &caller.actor()).await?;
        for job in ended.cancelled {
            announcement.look_at_job(Some(caller.org), job);
        }
        if let Some(revocation) = &ended.revocation {
            announcement.job(revocation);
        }
        announcement.connection(caller.org, id);
    } else {
        // Also the test of a credential that was to bring it back.
        for job in api.store.cancel_work(&tx, &row).await? {
            announcement.look_at_job(Some(caller.org), job);
        }
    }
    tx.commit().await?;
    api.announce(announcement);
    Ok(Json(find(&api, &caller, id).await?.into()))
}
