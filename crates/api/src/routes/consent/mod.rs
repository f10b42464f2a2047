//! Connecting by consent: an admin asks (`authorize`), a browser opens the address and goes to
//! the provider (`connect`), comes back (`callback`) and sees how it went (`outcome`). The
//! code is exchanged by a job; nothing here can read a token or calls a provider.

pub mod authorize;
pub mod callback;
pub mod connect;
mod cookie;
pub mod outcome;
mod page;
mod query;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::ids::{ConnectionId, ConsentId, JobId};
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::FailureView;
use crate::{
    access::Caller,
    extract::Id,
    problem::{Problem, ProblemBody},
    state::Api,
};
use outcome::Outcome;

/// A consent from its request to its end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Consent)]
pub struct ConsentView {
    /// The consent.
    #[schema(value_type = Uuid)]
    id: ConsentId,
    /// Key of the provider.
    provider: String,
    /// Where it stands.
    status: ConsentStatus,
    /// The connection, once it is connected, and before that where it is connected again.
    #[schema(value_type = Option<Uuid>)]
    connection_id: Option<ConnectionId>,
    /// The exchange, once there is one.
    #[schema(value_type = Option<Uuid>)]
    job_id: Option<JobId>,
    /// Why it failed.
    failure: Option<FailureView>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// It must have come back by then.
    expires_at: DateTime<Utc>,
}

/// Where a consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentStatus {
    /// Nobody has opened its address.
    Open,
    /// A browser is at the provider.
    Opened,
    /// The person has agreed; the exchange goes on.
    Exchanging,
    /// The account is connected.
    Connected,
    /// It is not; `failure` says why.
    Failed,
    /// It did not come back within ten minutes.
    Expired,
}

/// How a consent stands. It is kept for a day.
#[utoipa::path(
    get, path = "/consents/{id}", tag = "consents", params(("id" = Uuid, Path, description = "The consent")),
    responses((status = 200, body = ConsentView), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ConsentId>,
) -> Result<Json<ConsentView>, Problem> {
    let row = api.store.consent(api.store.db(), caller.org, id).await?;
    let row = row.ok_or_else(|| Problem::not_found("consent"))?;
    let outcome = match row.consumed_at {
        Some(_) => Some(outcome::of(&api, &row).await?),
        None => None,
    };
    let is_over = row.expires_at <= api.store.clock().now();
    let status = match (&outcome, row.opened_at) {
        (Some(Outcome::Connected { .. }), _) => ConsentStatus::Connected,
        (Some(Outcome::Failed { .. }), _) => ConsentStatus::Failed,
        (Some(Outcome::Pending { .. }), _) => ConsentStatus::Exchanging,
        (None, _) if is_over => ConsentStatus::Expired,
        (None, Some(_)) => ConsentStatus::Opened,
        (None, None) => ConsentStatus::Open,
    };
    let (connection, job, failure) = match outcome {
        Some(Outcome::Connected {
            connection, job, ..
        }) => (connection, Some(job), None),
        Some(Outcome::Failed { failure, job }) => (None, job, Some(failure)),
        Some(Outcome::Pending { job }) => (None, Some(job), None),
        None => (None, None, None),
    };
    Ok(Json(ConsentView {
        id: row.id,
        provider: row.provider,
        status,
        connection_id: connection.or(row.connection_id),
        job_id: job,
        failure: failure.map(FailureView::from),
        created_at: row.created_at,
        expires_at: row.expires_at,
    }))
}
