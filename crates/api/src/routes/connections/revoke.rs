//! Withdraws a connection's credential; the connection and its records stay.

use axum::{Json, extract::State};
use patchbay_core::{connection::CredentialOrigin, ids::ConnectionId};

use super::{ConnectionView, find, hold, refuse_disconnected};
use crate::{
    access::Caller,
    extract::{Body, Id},
    once::{self, Made},
    problem::{Kind, Problem, ProblemBody},
    routes::Empty,
    state::{Announcement, Api},
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
    let tx = api.store.begin().await?;
    let mut announcement = Announcement::default();
    if once::take(&api, &tx, &caller, &body.once).await?.is_none() {
        let row = hold(&api, &tx, &caller, id).await?;
        refuse_disconnected(&row)?;
        let Some(credential) = api.store.current_credential(&tx, caller.org, id).await? else {
            return Err(Problem::new(
                Kind::ConnectionState,
                "The connection has no credential, so there is nothing to withdraw.",
            ));
        };
        let by_consent = credential.origin == CredentialOrigin::Consent;
        let (revocation, parked) = api
            .store
            .withdraw_credential(&tx, &row, by_consent, &caller.actor())
            .await?;
        for job in parked {
            announcement.look_at_job(Some(caller.org), job);
        }
        if let Some(revocation) = &revocation {
            announcement.job(revocation);
        }
        announcement.connection(caller.org, id);
        let made = Made::Connection(id, Vec::new());
        once::made(&api, &tx, &caller, &body.once, &made).await?;
    }
    tx.commit().await?;
    api.announce(announcement);
    Ok(Json(find(&api, &caller, id).await?.into()))
}
