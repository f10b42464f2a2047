//! The record that something is about to be done abroad that cannot be taken back. It stands
//! in the job's position (`cursor`) from before the act until its outcome is known. A run
//! that finds one there knows that another began, and not what came of it.

use chrono::{DateTime, Utc};
use patchbay_core::{
    events::EventKind,
    failure::{Failure, FailureKind, NextAction},
    job::{JobError, Next, Settle},
    job_args::ActionArgs,
    progress::Progress,
    store::{
        StoreError,
        events::NewEvent,
        quotas::{Span, Taken, Usage},
    },
};
use patchbay_providers::{Action, Quota};
use serde_json::json;

use super::super::opening::Opened;
use crate::{context::Context, run::JobRun};

/// One that this run wrote.
pub(super) struct Intent {
    /// By the database's clock: names the windows that it was counted in.
    at: DateTime<Utc>,
}

impl Intent {
    /// Whether the job's position holds one already.
    pub(super) fn left_by_another(run: &JobRun) -> bool {
        let cursor = run.job.cursor.as_ref();
        cursor.is_some_and(|cursor| !cursor["intent"].is_null())
    }

    /// Writes it down and counts it, in one transaction that only the job's holder can commit.
    ///
    /// # Errors
    /// A limit is used up, the lease is lost, or the database is away: nothing may be done.
    pub(super) async fn record(
        run: &JobRun,
        ctx: &Context,
        opened: &Opened,
        action: &Action,
    ) -> Result<Self, JobError> {
        let at = ctx.store.jobs().now().await?;
        let whose = (opened.row.org_id, opened.row.id);
        let (tx, _) = run.begin_fenced_on(whose.0, whose.1).await?;
        if let Some(quota) = counted(opened, action) {
            let limits = quota.limits(&opened.row.config);
            if let Taken::Full(full) = ctx.store.take_quota(&tx, whose, limits, at).await? {
                tx.rollback().await?;
                return Err(used_up(quota, &full));
            }
        }
        let intent = json!({ "intent": { "action": action.key, "at": at } });
        run.checkpoint(&tx, &progress(&action.label), Some(&intent))
            .await?;
        tx.commit().await?;
        run.signal().await;
        Ok(Self { at })
    }

    /// It is certain that nothing was done: the job may try again, and what was counted is
    /// given back.
    pub(super) async fn withdraw(
        self,
        run: &JobRun,
        ctx: &Context,
        opened: &Opened,
    ) -> Result<(), JobError> {
        let (org, connection) = (opened.row.org_id, opened.row.id);
        let (tx, _) = run.begin_fenced_on(org, connection).await?;
        if opened.provider.manifest().quota.is_some() {
            ctx.store.give_back_quota(&tx, connection, self.at).await?;
        }
        let none = json!({ "intent": null });
        run.checkpoint(&tx, &progress("refused"), Some(&none))
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The quota that an action counts in, if it counts in one.
pub(super) fn counted<'o>(opened: &'o Opened, action: &Action) -> Option<&'o Quota> {
    let quota = opened.provider.manifest().quota.as_ref()?;
    (!action.repeatable).then_some(quota)
}

/// What a job answers whose turn comes when a window is full: it waits for the next one,
/// and no attempt is burnt.
pub(super) fn used_up(quota: &Quota, full: &Usage) -> JobError {
    let (window, field) = match full.span {
        Span::Hour => ("hour", &quota.per_hour),
        Span::Day => ("day", &quota.per_day),
    };
    let until = full.resets_at;
    let failure = Failure {
        next_action: Some(NextAction::wait_until(until)),
        ..Failure::new(
            FailureKind::RateLimited,
            format!(
                "The connection has used its {} {} of this {window}.",
                full.used, quota.unit
            ),
            format!(
                "Nothing to do: it goes on at {}. Raise `{field}` to let more through.",
                until.format("%Y-%m-%d %H:%M UTC")
            ),
        )
    };
    JobError {
        next: Next::Snooze { until },
        failure,
    }
}

/// What a run says that finds an intent of another.
pub(super) fn after_a_crash(args: &ActionArgs) -> Failure {
    Failure::new(
        FailureKind::UnknownOutcome,
        format!(
            "The worker ended while `{}` was under way: it may or may not have been done.",
            args.action
        ),
        "Look at the provider whether it was done. If not, retry the job.",
    )
}

/// Ends the job as failed and removes the intent, in one transaction. Only a person sends it
/// to work again, and then it begins anew.
///
/// # Errors
/// Nothing was written; the intent stands, and the next run comes here again.
pub(super) async fn outcome_unknown(
    run: &JobRun,
    ctx: &Context,
    failure: Failure,
) -> Result<JobError, JobError> {
    let failure = run.log.scrub_failure(failure);
    let tx = run.begin_fenced().await?;
    let none = json!({ "intent": null });
    run.checkpoint(&tx, &progress("outcome unknown"), Some(&none))
        .await?;
    let end = Settle::Fail {
        failure: failure.clone(),
    };
    run.settle_in(&tx, end).await?;
    if let Some(org) = run.job.org_id {
        let data =
            json!({ "kind": run.job.kind, "error": failure.kind, "message": failure.message });
        let mut event = NewEvent::new(org, EventKind::JobFailed, "system")
            .job(run.job.id)
            .data(data);
        if let Some(connection) = run.job.connection_id {
            event = event.connection(connection);
        }
        ctx.store.record_event(&tx, event).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(JobError {
        next: Next::Fail,
        failure,
    })
}

fn progress(stage: &str) -> Progress {
    Progress {
        stage: stage.to_owned(),
        ..Progress::default()
    }
}
