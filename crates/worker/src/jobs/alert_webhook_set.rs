//! Stores what messages to a webhook that tells of alerts are signed with: it comes sealed
//! from the API, which has shown it once, and is closed under the org's data key.

use patchbay_core::{
    failure::FailureKind,
    job::{JobError, SealedArgs},
    job_args::AlertWebhookSetArgs,
    vault::{
        VaultError,
        columns::{ALERT_WEBHOOK, Cell},
    },
};
use serde_json::{Value, json};

use super::opening::{args, fail, org, vault_error};
use crate::{context::Context, run::JobRun};

/// The field of the sealed arguments.
const SECRET: &str = "secret";

/// The words of [`vault_error`] are those of a connection; a channel has no credential to set.
pub(super) fn unopened(error: VaultError) -> JobError {
    let is_a_key = match &error {
        VaultError::KeyMissing(_) | VaultError::Unopenable => true,
        VaultError::Store(_) => false,
    };
    let mut error = vault_error(error);
    if is_a_key {
        error.failure.action = "Check that this worker has the deployment's keyring; else set the channel anew: it gets another secret.".to_owned();
    }
    error
}

/// The body of `alert_webhook_set`.
///
/// # Errors
/// The database, or a secret that is no longer kept.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: AlertWebhookSetArgs = args(run)?;
    let org = org(run)?;
    let secret = match run.job.sealed.clone().zip(run.job.sealed_key.clone()) {
        Some((bytes, key_id)) => {
            let sealed = SealedArgs { bytes, key_id };
            let fields = ctx.vault.open_args(org, run.job.id, &sealed);
            fields.map_err(unopened)?.0.remove(SECRET)
        }
        None => None,
    };
    let secret = secret.ok_or_else(|| {
        fail(
            FailureKind::Invalid,
            "the secret that came with this job is no longer kept",
            "Set the channel anew: it gets another secret.",
        )
    })?;
    let cell = Cell::new(&ALERT_WEBHOOK, &[args.channel.0]);
    let tx = run.begin_fenced().await?;
    let plain = secret.expose().as_bytes();
    let closed = ctx.vault.close(&ctx.store, &tx, org, &cell, plain).await;
    let closed = closed.map_err(unopened)?;
    let stored = ctx
        .store
        .set_alert_webhook_secret(
            &tx,
            org,
            args.channel,
            (closed, &secret.mask()),
            run.job.created_at,
        )
        .await?;
    let result = json!({ "channel": args.channel, "stored": stored });
    run.succeed_in(&tx, &result).await?;
    tx.commit().await?;
    Ok(result)
}
