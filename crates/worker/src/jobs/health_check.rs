//! Asks the provider whether the credential in force works, and writes it down.

use patchbay_core::{
    connection::ConnectionStatus, failure::Failure, job::JobError, job_args::HealthCheckArgs,
    store::health::NewHealthCheck,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::opening::{self, Opened, args, signal};
use crate::{context::Context, run::JobRun};

/// The body of `health_check`. A check that finds the provider failing has done its
/// work: the job succeeds and its result says so. Only a refused credential parks.
///
/// # Errors
/// The database, or a refusal of the credential.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: HealthCheckArgs = args(run)?;
    let opened = opening::open(run, ctx).await?;
    let began = Instant::now();
    let tested = tokio::select! {
        tested = opened.provider.test(&opened.session) => tested,
        () = run.stop.cancelled() => return Err(run.released()),
    };
    let response_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
    let failure = tested
        .as_ref()
        .err()
        .map(|error| run.log.scrub_failure(error.failure()));
    record(
        run,
        ctx,
        &opened,
        args.reason.name(),
        response_ms,
        failure.clone(),
    )
    .await?;
    match tested {
        Ok(account) => Ok(json!({ "ok": true, "response_ms": response_ms, "account": account })),
        Err(error) if error.kind == patchbay_core::failure::FailureKind::Auth => {
            opened.refused(run, ctx, error).await
        }
        Err(_) => Ok(json!({ "ok": false, "response_ms": response_ms, "failure": failure })),
    }
}

async fn record(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    kind: &'static str,
    response_ms: i32,
    failure: Option<Failure>,
) -> Result<(), JobError> {
    let (org, connection) = (opened.row.org_id, opened.row.id);
    let (tx, row) = run.begin_fenced_on(org, connection).await?;
    if let Some(row) = row {
        match &failure {
            // A refusal is noted where it breaks the connection, once.
            Some(failure) if failure.kind != patchbay_core::failure::FailureKind::Auth => {
                ctx.store.note_failure(&tx, &row, failure, None).await?;
            }
            Some(_) => {}
            None if row.status == ConnectionStatus::Active => {
                ctx.store.note_success(&tx, &row, false).await?;
            }
            None => {}
        }
    }
    ctx.store
        .record_health_check(
            &tx,
            NewHealthCheck {
                org,
                connection,
                kind,
                response_ms,
                failure,
            },
        )
        .await?;
    tx.commit().await?;
    signal(run, ctx, &opened.row).await;
    Ok(())
}
