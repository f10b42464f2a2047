//! Asks the provider whether the credential in force works, and writes it down.

use patchbay_core::{job::JobError, job_args::HealthCheckArgs};
use serde_json::{Value, json};

use super::{
    checking::{self, Asked},
    opening::{args, subject},
};
use crate::{context::Context, run::JobRun};

/// The body of `health_check`. A check that finds the connection not working has done its
/// work: the job succeeds and its result says so.
///
/// # Errors
/// The database; or there is nothing to ask with: no credential, or the connection is
/// switched off.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: HealthCheckArgs = args(run)?;
    let at = ctx.store.jobs().now().await?;
    let outcome = match checking::ask(run, ctx, subject(run)?, args.reason, at).await? {
        Asked::Outcome(outcome) => *outcome,
        Asked::Skipped(error) => return Err(error),
    };
    let response_ms = outcome.result.response_ms;
    let answer = match &outcome.result.failure {
        None => json!({ "ok": true, "response_ms": response_ms, "account": outcome.account }),
        Some(failure) => {
            let fields = json!({ "kind": failure.kind, "code": failure.code });
            run.log.warn(&failure.message, fields).await;
            json!({ "ok": false, "response_ms": response_ms, "failure": failure })
        }
    };
    checking::write(run, ctx, vec![outcome], None).await?;
    Ok(answer)
}
