//! Withdraws a connection's credential; the connection and its records stay.

use axum::{Json, extract::State};
use patchbay_core::{connection::CredentialOrigin, ids::ConnectionId};

use super::{ConnectionView, find, hold_connected};
use crate::{
    access::Caller,
    extract::{Body, Id},
    once::{self, Made, Turn},
    problem::{Kind, Problem, ProblemBody},
    routes::Empty,
    state::Api,
};

/// Withdraws the credential: it is emptied here at once, and what a consent granted is revoked
/// at the provider by a job. Waiting jobs are parked until there is a new credential.
#[utoipa::path(
    post, path = "/connections/{id}/revoke", tag = "connections",
    params(("id" = Uuid, Path, description = "The connection"), once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "Withdrawn", body = ConnectionView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "Disconnected, or without a credential", body = ProblemBody),
    ),
)]
pub async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConnectionId>,
    body: Body<Empty>,
) -> Result<Json<ConnectionView>, Problem> {
    if let Turn::First(mut work) = once::begin(&api, &caller, &body.once).await? {
        let row = hold_connected(&api, &work.tx, &caller, id).await?;
        let Some(credential) = api
            .store
            .current_credential(&work.tx, caller.org, id)
            .await?
        else {
            return Err(Problem::new(
                Kind::ConnectionState,
                "The connection has no credential, so there is nothing to withdraw.",
            ));
        };
        let by_consent = credential.origin == CredentialOrigin::Consent;
        let (revocation, parked) = api
            .store
            .withdraw_credential(&work.tx, &row, by_consent, &caller.actor())
            .await?;
        for job in parked {
            work.announcement.look_at_job(Some(caller.org), job);
        }
        if let Some(revocation) = &revocation {
            work.announcement.job(revocation);
        }
        work.announcement.connection(caller.org, id);
        work.end(Made::Connection(id, Vec::new())).await?;
    }
    Ok(Json(find(&api, &caller, id).await?.into()))
}
