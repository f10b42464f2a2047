//! Does one thing at a provider. What may be repeated is tried again like any work. What may
//! not is written down before it is done ([`intent`]), and never done again by itself when
//! nobody knows whether it was done.

use std::pin::pin;

use patchbay_core::{
    events::EventKind,
    failure::FailureKind,
    job::{JobError, Next},
    job_args::ActionArgs,
    store::{events::NewEvent, quotas::last_full},
};
use patchbay_providers::{Action, Effect, ProviderError};
use serde_json::{Value, json};

use super::opening::{self, Opened, args, fail, signal};
use crate::{
    context::Context,
    run::{FenceError, JobRun},
};
use intent::Intent;

mod intent;

/// The body of `action`. Its result is what the action answers.
///
/// # Errors
/// The provider refused or did not answer; a limit is used up; or what was begun before a
/// crash may or may not have been done.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: ActionArgs = args(run)?;
    if Intent::left_by_another(run) {
        // For the words of the failure: what it means. Of what is gone there are none.
        if let Err(error) = opening::find(run, ctx).await
            && error.next != Next::Fail
        {
            return Err(error);
        }
        return Err(intent::outcome_unknown(run, ctx, intent::after_a_crash(&args)).await?);
    }
    let mut opened = opening::open(run, ctx).await?;
    let action = wanted(&opened, &args)?;
    room(ctx, &opened, &action).await?;
    run.log.info(&action.label, json!({})).await;
    let mut done = attempt(run, ctx, &opened, &action, &args.input).await?;
    if let Err(refusal) = &done
        && opened.renewed(run, ctx, refusal).await?
    {
        done = attempt(run, ctx, &opened, &action, &args.input).await?;
    }
    match done {
        Ok(result) => finish(run, ctx, &opened, &args, result).await,
        Err(error) if error.kind == FailureKind::UnknownOutcome && !action.repeatable => {
            let failure = run.log.scrub_failure(error.failure());
            opened.note(run, ctx, &failure).await?;
            Err(intent::outcome_unknown(run, ctx, failure).await?)
        }
        Err(error) => opened.refused(run, ctx, error).await,
    }
}

/// The action that the job names, if the connection may do it.
fn wanted(opened: &Opened, args: &ActionArgs) -> Result<Action, JobError> {
    let manifest = opened.provider.manifest();
    let Some(action) = manifest.action(&args.action) else {
        return Err(fail(
            FailureKind::Internal,
            format!("{} has no action `{}`", manifest.label, args.action),
            "Run workers of the version that the API has.",
        ));
    };
    let off = opened.row.capabilities_off.as_array();
    if off.is_some_and(|keys| keys.iter().any(|key| *key == *action.capability)) {
        return Err(fail(
            FailureKind::Invalid,
            format!(
                "the capability `{}` was switched off before this job ran",
                action.capability
            ),
            "Switch it on and ask again.",
        ));
    }
    Ok(action.clone())
}

/// Whether the limits leave room, before the provider is bothered. What counts is asked again
/// with the intent.
async fn room(ctx: &Context, opened: &Opened, action: &Action) -> Result<(), JobError> {
    let Some(quota) = intent::counted(opened, action) else {
        return Ok(());
    };
    let now = ctx.store.jobs().now().await?;
    let limits = quota.limits(&opened.row.config);
    let whose = (opened.row.org_id, opened.row.id);
    let usage = ctx
        .store
        .quota_usage(ctx.store.db(), whose, limits, now)
        .await?;
    match last_full(&usage) {
        Some(full) => Err(intent::used_up(quota, &full)),
        None => Ok(()),
    }
}

/// Lets the provider act, and writes down its intent when it is about to.
async fn attempt(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    action: &Action,
    input: &Value,
) -> Result<Result<Value, ProviderError>, JobError> {
    let (effect, mut watch) = Effect::new(format!("{}:0", run.job.id));
    let effect = (!action.repeatable).then_some(effect);
    let session = opened.session.clone().with_effect(effect);
    let mut acting = pin!(opened.provider.act(&session, &action.key, input));
    let mut intent: Option<Intent> = None;
    let done = loop {
        tokio::select! {
            done = &mut acting => break done,
            waiting = watch.asked(), if intent.is_none() => {
                // An error here drops the action where it stands, with nothing done.
                intent = Some(Intent::record(run, ctx, opened, action).await?);
                waiting.go_on();
            }
            // Once begun it is seen to its end, which the provider's own deadlines bound.
            () = run.stop.cancelled(), if intent.is_none() => return Err(run.released()),
        }
    };
    if let (Err(error), Some(intent)) = (&done, intent)
        && error.kind != FailureKind::UnknownOutcome
    {
        intent.withdraw(run, ctx, opened).await?;
    }
    Ok(done)
}

async fn finish(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    args: &ActionArgs,
    result: Value,
) -> Result<Value, JobError> {
    match write_success(run, ctx, opened, args, &result).await {
        Ok(()) => {}
        Err(FenceError::LeaseLost) => return Err(FenceError::LeaseLost.into()),
        // It is done, and the driver says so as soon as the database is there again. Only
        // the line in the activity log is missing then.
        Err(FenceError::Store(error)) => {
            tracing::warn!(%error, job = %run.job.id, "an action's success is settled without its event");
        }
    }
    signal(run, ctx, &opened.row).await;
    Ok(result)
}

async fn write_success(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    args: &ActionArgs,
    result: &Value,
) -> Result<(), FenceError> {
    let (org, connection) = (opened.row.org_id, opened.row.id);
    let (tx, row) = run.begin_fenced_on(org, connection).await?;
    if let Some(row) = row {
        ctx.store.note_success(&tx, &row, false).await?;
    }
    // Without input and result, which may be personal: the job has them for as long as it is kept.
    let event = NewEvent::new(org, EventKind::ActionCompleted, &run.job.requested_by)
        .connection(connection)
        .job(run.job.id)
        .data(json!({ "action": args.action }));
    ctx.store.record_event(&tx, event).await?;
    run.succeed_in(&tx, result).await?;
    tx.commit()
        .await
        .map_err(patchbay_core::store::StoreError::from)?;
    Ok(())
}
