//! How one connection is asked whether it works, and how what that came to is written. The
//! check of one connection and the batch share it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use patchbay_core::{
    breaker::Held,
    connection::ConnectionStatus,
    entities::connection,
    failure::{Failure, FailureKind},
    ids::{ConnectionId, OrgId},
    job::{Enqueued, JobError, JobKind, NewJob, Next, Queue},
    job_args::{CheckReason, HealthCheckArgs},
    progress::Progress,
    store::{StoreError, health::CheckResult, jobs::Due},
};
use patchbay_providers::{Account, ProviderError};
use sea_orm::DatabaseTransaction;
use tokio::time::{Instant, timeout};

use super::{
    connection_test::hint,
    opening::{self, Opened, signal},
};
use crate::{context::Context, run::JobRun, silence::Leave};

/// The longest that a check asked for by a job may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Enqueues a check of a connection that works as far as is known, in the caller's
/// transaction; one that waits already will do. Hint it after the commit.
///
/// # Errors
/// The database.
pub(super) async fn soon(
    ctx: &Context,
    tx: &DatabaseTransaction,
    row: &connection::Model,
) -> Result<Option<Due>, StoreError> {
    if row.status != ConnectionStatus::Active {
        return Ok(None);
    }
    let args = HealthCheckArgs {
        reason: CheckReason::Auto,
    };
    let check = NewJob {
        connection: Some(row.id),
        args: serde_json::to_value(args).expect("an enum is JSON"),
        max_attempts: 1,
        timeout: CHECK_TIMEOUT,
        dedupe_key: Some(format!("{}:check", row.id)),
        ..NewJob::new(
            Some(row.org_id),
            JobKind::HealthCheck,
            Queue::Maintenance,
            "system",
        )
    };
    let enqueued = ctx.store.jobs().enqueue(tx, vec![check]).await?;
    Ok(enqueued.first().and_then(|enqueued| match enqueued {
        Enqueued::New(job) => Some(Due {
            job: job.id,
            turn: row.org_id,
        }),
        Enqueued::Waiting(_) | Enqueued::Again(_) => None,
    }))
}

/// What asking came to.
pub(super) enum Asked {
    /// There is an outcome to write.
    Outcome(Box<Outcome>),
    /// Not asked: the connection is switched off or gone, has no credential, or needs a new one
    /// from a host that is left alone.
    Skipped(JobError),
}

/// The outcome of a check.
pub(super) struct Outcome {
    pub result: CheckResult,
    /// The account that answered.
    pub account: Option<Account>,
    /// The provider was not asked, because its host is left alone.
    pub unasked: bool,
    /// `None` where the credential could not be had.
    opened: Option<Opened>,
}

/// Asks the provider of a connection with the credential in force, unless the clock wants to
/// know and the host is left alone. `at` is written as the time of the check.
///
/// # Errors
/// The database is away, or the job was asked to stop: nothing is known of the connection.
pub(super) async fn ask(
    run: &JobRun,
    ctx: &Context,
    (org, connection): (OrgId, ConnectionId),
    reason: CheckReason,
    at: DateTime<Utc>,
) -> Result<Asked, JobError> {
    let blank = CheckResult {
        org,
        connection,
        at,
        reason,
        response_ms: 0,
        failure: None,
        not_before: None,
    };
    let mut opened = match opening::open_one(run, ctx, org, connection).await {
        Ok(opened) => opened,
        Err(error) => return unopened(run, blank, error),
    };
    let leave = match reason {
        CheckReason::Scheduled => ctx.silence.leave(run.job.id, &opened.session).await,
        CheckReason::Manual | CheckReason::Auto => Leave::Ask(ctx.silence.patience()),
    };
    let patience = match leave {
        Leave::Ask(patience) => patience,
        Leave::Unasked(held) => {
            let failure = run.log.scrub_failure(unasked(&opened, &held));
            return Ok(Asked::Outcome(Box::new(Outcome {
                result: CheckResult {
                    failure: Some(failure),
                    ..blank
                },
                account: None,
                unasked: true,
                opened: Some(opened),
            })));
        }
    };
    let began = Instant::now();
    let mut tested = test(run, ctx, &mut opened, reason, patience).await?;
    if let Err(refusal) = &tested {
        match opened.renewed(run, ctx, refusal).await {
            Ok(true) => tested = test(run, ctx, &mut opened, reason, patience).await?,
            Ok(false) => {}
            Err(error) => return unopened(run, blank, error),
        }
    }
    let response_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    let (account, error) = match tested {
        Ok(account) => (Some(account), None),
        Err(error) => (None, Some(error)),
    };
    let failure = error
        .as_ref()
        .map(|error| run.log.scrub_failure(error.failure_at(at)));
    let result = CheckResult {
        response_ms,
        failure,
        not_before: error
            .and_then(|error| error.pause())
            .map(|pause| at + pause),
        ..blank
    };
    Ok(Asked::Outcome(Box::new(Outcome {
        result,
        account,
        unasked: false,
        opened: Some(opened),
    })))
}

async fn test(
    run: &JobRun,
    ctx: &Context,
    opened: &mut Opened,
    reason: CheckReason,
    patience: Duration,
) -> Result<Result<Account, ProviderError>, JobError> {
    if reason == CheckReason::Scheduled {
        // Who asks for a slower pace has answered; waiting for it here would look like silence,
        // and the next check comes by itself.
        opened.session.backoff.tries = 0;
    }
    let answer = timeout(patience, opened.provider.test(&opened.session));
    let answer = tokio::select! {
        answer = answer => answer,
        () = run.stop.cancelled() => return Err(run.released()),
    };
    match &answer {
        // Such a failure comes at once, or nothing was sent: neither is an answer.
        Ok(Err(error)) if error.host_is_down || error.paused => {}
        Ok(_) => ctx.silence.answered(&opened.session),
        Err(_) => ctx.silence.in_vain(&opened.session, patience).await,
    }
    Ok(answer.unwrap_or_else(|_| Err(no_answer(opened, patience))))
}

fn no_answer(opened: &Opened, patience: Duration) -> ProviderError {
    ProviderError::new(
        FailureKind::Timeout,
        format!(
            "{} gave no answer to a check within {} s.",
            opened.provider.manifest().label,
            patience.as_secs()
        ),
        "Look at the provider's status page if it lasts.",
    )
}

/// The clock does not ask a host that is left alone: it has failed the check unheard.
fn unasked(opened: &Opened, held: &Held) -> Failure {
    let message = format!(
        "{} was not asked: its host has not answered since {} UTC ({}).",
        opened.provider.manifest().label,
        held.since.format("%Y-%m-%d %H:%M:%S"),
        held.reason
    );
    let action = "Nothing: it is asked again as soon as it answers others. Look at the provider's status page if it lasts.";
    Failure::new(FailureKind::ProviderDown, message, action)
}

/// A connection whose credential could not be had does not work either, unless nobody
/// expects it to, or it is we who cannot look, or who leave its host alone.
fn unopened(run: &JobRun, blank: CheckResult, error: JobError) -> Result<Asked, JobError> {
    match error.next {
        Next::Release => Err(error),
        Next::Fail
        | Next::Snooze { .. }
        | Next::Park {
            credential_version: None,
        } => Ok(Asked::Skipped(error)),
        Next::Retry { .. } | Next::Park { .. } => {
            let result = CheckResult {
                failure: Some(run.log.scrub_failure(error.failure)),
                ..blank
            };
            Ok(Asked::Outcome(Box::new(Outcome {
                result,
                account: None,
                unasked: false,
                opened: None,
            })))
        }
    }
}

impl Outcome {
    /// Not asked, and its host is still left alone.
    pub(super) async fn is_held(&self, ctx: &Context) -> bool {
        match &self.opened {
            Some(opened) if self.unasked => ctx.silence.lasts(&opened.session).await,
            Some(_) | None => false,
        }
    }

    fn refusal(&self) -> bool {
        let failure = self.result.failure.as_ref();
        failure.is_some_and(|failure| failure.kind == FailureKind::Auth)
    }

    /// Whether the connection's own row may have to change.
    fn concerns(&self) -> bool {
        match &self.opened {
            Some(opened) => self.result.concerns(&opened.row),
            None => true,
        }
    }
}

/// Writes outcomes in one fenced transaction, at most one of each connection. What breaks a
/// connection or mends it goes first, each on its own: done again after a crash between, it
/// changes nothing.
///
/// # Errors
/// The database, or a lost lease.
pub(super) async fn write(
    run: &JobRun,
    ctx: &Context,
    outcomes: Vec<Outcome>,
    progress: Option<&Progress>,
) -> Result<(), JobError> {
    for outcome in &outcomes {
        let Some(opened) = &outcome.opened else {
            continue;
        };
        match &outcome.result.failure {
            Some(failure) if outcome.refusal() => opened.note(run, ctx, failure).await?,
            Some(_) => {}
            None => mend(run, ctx, opened).await?,
        }
    }
    let concerned: Vec<&Outcome> = outcomes.iter().filter(|one| one.concerns()).collect();
    let rows: Vec<_> = concerned
        .iter()
        .filter_map(|outcome| outcome.opened.as_ref().map(|opened| opened.row.clone()))
        .collect();
    let mut ids: Vec<_> = concerned.iter().map(|one| one.result.connection).collect();
    ids.sort_unstable();
    let results = outcomes.into_iter().map(|outcome| outcome.result).collect();
    let (tx, held) = run.begin_fenced_on_all(&ids).await?;
    ctx.store.record_checks(&tx, &held, results).await?;
    if let Some(progress) = progress {
        run.checkpoint(&tx, progress, None).await?;
    }
    tx.commit().await?;
    for row in &rows {
        signal(run, ctx, row).await;
    }
    Ok(())
}

/// The credential in force was refused before and works now: the refusal was a mistake of
/// the provider's, and what was parked goes on.
async fn mend(run: &JobRun, ctx: &Context, opened: &Opened) -> Result<(), JobError> {
    let broken = |status| matches!(status, ConnectionStatus::Error | ConnectionStatus::Expired);
    if !broken(opened.row.status) {
        return Ok(());
    }
    let (tx, row) = run
        .begin_fenced_on(opened.row.org_id, opened.row.id)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let current = ctx
        .store
        .current_credential(&tx, row.org_id, row.id)
        .await?;
    let asked_with = current.is_some_and(|one| one.version == opened.credential_version);
    if !(broken(row.status) && asked_with && row.config == opened.row.config) {
        return Ok(());
    }
    ctx.store.restore_connection(&tx, &row).await?;
    let released = ctx.store.jobs().unpark(&tx, row.id).await?;
    tx.commit().await?;
    hint(ctx, &released).await;
    Ok(())
}
