//! Refreshes a grant ahead of its end. Work that finds a token ended does the same by
//! itself; this keeps it from having to.

use patchbay_core::{
    connection::{ConnectionStatus, CredentialOrigin},
    job::JobError,
    job_args::CredentialRefreshArgs,
};
use serde_json::{Value, json};

use super::opening::{self, args};
use crate::{context::Context, refresh::RefreshError, run::JobRun};

/// The body of `credential_refresh`. Its result says whether there is a newer token. A
/// refusal is no failure of the job: it has found out, and the connection says it.
///
/// # Errors
/// The provider did not answer; the database.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: CredentialRefreshArgs = args(run)?;
    let (row, _) = opening::find(run, ctx).await?;
    let credential = ctx
        .store
        .current_credential(ctx.store.db(), row.org_id, row.id)
        .await?
        .filter(|credential| credential.version == args.version)
        .filter(|credential| credential.origin == CredentialOrigin::Consent)
        .filter(|credential| credential.refused_at.is_none());
    let (Some(credential), true) = (credential, row.status != ConnectionStatus::Disabled) else {
        return Ok(json!({ "refreshed": false, "reason": "no longer needed" }));
    };
    let renewed = tokio::select! {
        renewed = ctx.refresher.renew(ctx, &row, credential.id, credential.version) => renewed,
        () = run.stop.cancelled() => return Err(run.released()),
    };
    match renewed {
        Ok(fresh) => Ok(json!({ "refreshed": true, "expires_at": fresh.expires_at })),
        Err(RefreshError::Refused { failure, .. }) => {
            Ok(json!({ "refreshed": false, "failure": failure }))
        }
        Err(RefreshError::Gone | RefreshError::NotRefreshable) => {
            Ok(json!({ "refreshed": false, "reason": "no longer needed" }))
        }
        Err(
            error @ (RefreshError::Later { .. } | RefreshError::Held(_) | RefreshError::Job(_)),
        ) => Err(error.into()),
    }
}
