//! A new credential for a connection.

use axum::{extract::State, response::Response};
use patchbay_core::{connection::ConnectionStatus, entities::connection, ids::ConnectionId};
use sea_orm::DatabaseTransaction;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    create, hold,
    tested::{self, CredentialFields, TestedConnection},
};
use crate::{
    access::Caller,
    extract::{Body, Id, Query},
    problem::{Problem, ProblemBody},
    state::{Announcement, Api},
    wait::{Wait, WaitQuery},
};

/// A credential to take the place of the one in force.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceCredential {
    /// The secret fields of the provider's schema, all of them.
    credential: CredentialFields,
}

/// Replaces the credential. It is sealed to the workers and tested by the job in the answer;
/// once the test has passed it is in force, a connection in `error` is `active` again and its
/// parked jobs go on. A failed test leaves the old one in force. A disconnected connection comes
/// back with its records and cursors, if the credential opens the account that it had.
#[utoipa::path(
    put, path = "/connections/{id}/credential", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), WaitQuery),
    request_body = ReplaceCredential,
    responses(
        (status = 200, description = "The test has ended within `wait`; the job says how", body = TestedConnection),
        (status = 202, description = "The test is on its way", body = TestedConnection),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected, and the organization has another connection of this provider, which allows one", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn replace(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once: _,
    }: Body<ReplaceCredential>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let tx = api.store.begin().await?;
    let row = hold_to_replace(&api, &tx, &caller, id).await?;
    let manifest = tested::manifest_of(&api, &row)?;
    let config = faults.with(tested::check(
        &api,
        manifest,
        &row.config,
        Some(&body.credential.0),
    ))?;
    let job = tested::enqueue(&api, &tx, &caller, &row, config, Some(&body.credential.0)).await?;
    tx.commit().await?;

    let mut announcement = Announcement::default();
    announcement.job(&job);
    api.announce(announcement);
    tested::answer(&api, &caller, id, &[job.id], wait).await
}

/// The connection, held, if it can take a credential: a disconnected one comes back by it, unless
/// its provider allows one connection and there is another by now.
pub(super) async fn hold_to_replace(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    id: ConnectionId,
) -> Result<connection::Model, Problem> {
    let row = hold(api, tx, caller, id).await?;
    let comes_back = row.status == ConnectionStatus::Disconnected;
    if comes_back && row.exclusive {
        let (org, provider) = (caller.org, &row.provider);
        if api.store.live_connection_of(org, provider).await?.is_some() {
            return Err(create::taken(api, caller, provider).await?);
        }
    }
    Ok(row)
}
