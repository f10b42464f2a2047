//! Tells the provider that a grant has ended, after it was emptied here.

use std::time::Duration;

use patchbay_core::{
    failure::FailureKind,
    job::{JobError, Next},
    job_args::CredentialRevokeArgs,
    outbound::Limits,
    vault::columns::MOVED,
};
use patchbay_providers::oauth::{self, TokenCall, TokenError};
use serde_json::{Value, json};

use super::opening::{args, fail, vault_error};
use crate::{context::Context, run::JobRun};

const CALL: Duration = Duration::from_secs(30);

/// The body of `credential_revoke`. Its result says whether the provider was told.
///
/// # Errors
/// The provider did not answer, or the client is not configured.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: CredentialRevokeArgs = args(run)?;
    let Some(org) = run.job.org_id else {
        return Err(fail(
            FailureKind::Internal,
            "this job names no organization",
            "Report it with the job's id.",
        ));
    };
    let place = ctx
        .providers
        .get(&args.provider)
        .and_then(|provider| ctx.providers.oauth(&**provider, &args.config));
    let Some(place) = place.filter(|place| place.revoke.is_some()) else {
        return Ok(told(false, "the provider has no address to revoke at"));
    };
    // At most providers a revocation ends everything that the account granted to the client.
    let connected_again = match &args.account_key {
        Some(account) => {
            ctx.store
                .account_is_connected(&args.provider, account, &args.client_id)
                .await?
        }
        None => false,
    };
    if connected_again {
        return Ok(told(false, "the account has been connected again"));
    }
    let Some(client) = ctx
        .clients
        .of(ctx, org, &args.provider, &args.client_id)
        .await?
    else {
        return Err(JobError {
            next: Next::Retry { after: None },
            failure: patchbay_core::failure::Failure::new(
                FailureKind::Internal,
                format!(
                    "this worker has no OAuth client `{}` of {}, to which the grant was given",
                    args.client_id, args.provider
                ),
                "Set the client's id and secret for the workers and retry, or remove the app in the account's settings at the provider.",
            ),
        });
    };
    let (Some(sealed), Some(MOVED)) = (&run.job.sealed, run.job.sealed_key.as_deref()) else {
        return Err(fail(
            FailureKind::Invalid,
            "the grant that was to be revoked is no longer kept",
            "Remove the app in the account's settings at the provider.",
        ));
    };
    let secret = ctx
        .vault
        .open_credential(&ctx.store, org, args.connection, args.credential, sealed)
        .await
        .map_err(vault_error)?;
    secret.0.values().for_each(|secret| run.log.hide(secret));
    let call = TokenCall {
        outbound: &ctx.outbound,
        place: &place,
        client: &client,
        clock: &*ctx.clock,
        trace_context: run.job.trace_context.as_deref(),
        limits: Limits {
            header: CALL,
            total: CALL,
            ..Limits::default()
        },
        exempt: false,
    };
    // Not cut off by a stop: after a refresh in between nobody else has the token that is to be
    // revoked.
    match oauth::revoke(&call, &secret).await {
        Ok(()) => Ok(told(true, "revoked")),
        // What the provider does not know any more is what was wanted.
        Err(TokenError::Refused(error)) => {
            run.log
                .info(
                    "the provider does not know the grant any more",
                    json!({ "code": error.code }),
                )
                .await;
            Ok(told(true, "it had ended before"))
        }
        // Left alone, not refused: it is told when the host answers, and costs no attempt.
        Err(TokenError::Later { error, .. }) if error.paused => {
            Err(error.into_job_error(ctx.clock.now(), None))
        }
        Err(TokenError::Later { error, after, .. }) => Err(JobError {
            next: Next::Retry { after },
            failure: run.log.scrub_failure(error.failure()),
        }),
        // Revoking twice does no harm.
        Err(TokenError::Misconfigured(error) | TokenError::Unknown(error)) => Err(JobError {
            next: Next::Retry { after: None },
            failure: run.log.scrub_failure(error.failure()),
        }),
    }
}

fn told(revoked: bool, words: &str) -> Value {
    json!({ "revoked": revoked, "reason": words })
}
