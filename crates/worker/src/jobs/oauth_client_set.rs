//! Stores an org's own OAuth client: its secret comes sealed from the API and is closed
//! under the org's data key.

use patchbay_core::{
    failure::FailureKind,
    ids::OauthClientId,
    job::{JobError, SealedArgs},
    job_args::OauthClientSetArgs,
    secret::Secret,
    store::oauth_clients::NewOauthClient,
    vault::columns::{Cell, OAUTH_CLIENT},
};
use serde_json::{Value, json};

use super::opening::{args, fail, vault_error};
use crate::{context::Context, run::JobRun};

/// The body of `oauth_client_set`.
///
/// # Errors
/// The database, or a secret that is no longer kept.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: OauthClientSetArgs = args(run)?;
    let org = run.job.org_id.ok_or_else(|| {
        fail(
            FailureKind::Internal,
            "this job names no organization",
            "Report it with the job's id.",
        )
    })?;
    let secret = match (run.job.sealed.clone(), run.job.sealed_key.clone()) {
        (Some(bytes), Some(key_id)) => {
            let sealed = SealedArgs { bytes, key_id };
            let fields = ctx.vault.open_args(org, run.job.id, &sealed);
            fields.map_err(vault_error)?.0.remove("client_secret")
        }
        (None, Some(_)) => {
            return Err(fail(
                FailureKind::Invalid,
                "the secret that came with this job is no longer kept",
                "Set the client again.",
            ));
        }
        (_, None) => None,
    };
    let id = OauthClientId::new(ctx.store.clock());
    let tx = run.begin_fenced().await?;
    let closed = match &secret {
        Some(secret) => {
            let cell = Cell::new(&OAUTH_CLIENT, &[id.0]);
            let plain = secret.expose().as_bytes();
            let closed = ctx.vault.close(&ctx.store, &tx, org, &cell, plain).await;
            Some(closed.map_err(vault_error)?)
        }
        None => None,
    };
    let new = NewOauthClient {
        id,
        org,
        provider: args.provider.clone(),
        client_id: args.client_id,
        secret: closed,
        mask: secret.as_ref().map(Secret::mask),
        created_by: run.job.requested_by.clone(),
    };
    ctx.store.set_oauth_client(&tx, new).await?;
    let result = json!({ "provider": args.provider });
    run.succeed_in(&tx, &result).await?;
    tx.commit().await?;
    Ok(result)
}
