//! Pulls one stream of a connection: pages in, records out, a commit per 1,000
//! records or 200 ms. Each commit holds the fence, the records, the place where
//! the run goes on and the counters, so that a crash at any point resumes at the
//! last commit, in any process.

mod batch;
mod gathering;
mod state;

use patchbay_core::{
    events::EventKind,
    failure::FailureKind,
    job::JobError,
    store::{events::NewEvent, records::RECORDS_PER_BATCH},
};
use patchbay_providers::{Mode, PullMode, Stream, SyncArgs};
use serde_json::{Value, json};

use self::{gathering::Gathering, state::RunState};
use super::opening::{self, Opened, args, fail, signal};
use crate::{context::Context, run::JobRun};

/// The body of `sync`. Its result holds the counts.
///
/// # Errors
/// What the provider or the database answered; a refused credential parks.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: SyncArgs = args(run)?;
    let mut opened = opening::open(run, ctx).await?;
    let unit = check(&opened, &args)?.unit.clone();
    let mut state = state::load_or_begin(run, ctx, &opened, &args, unit).await?;
    if !state.pulled {
        pull_all(run, ctx, &mut opened, &args, &mut state).await?;
    }
    if state.complete {
        delete_unseen(run, ctx, &opened, &args, &mut state).await?;
    }
    finish(run, ctx, &opened, &args, &mut state).await
}

/// The stream, where it can be pulled this way.
fn check<'a>(opened: &'a Opened, args: &SyncArgs) -> Result<&'a Stream, JobError> {
    let manifest = opened.provider.manifest();
    let Some(stream) = manifest.stream(&args.stream) else {
        return Err(fail(
            FailureKind::Invalid,
            format!("{} has no stream `{}`", manifest.label, args.stream),
            "Ask for one of the streams that the provider's catalogue names.",
        ));
    };
    let mode = match args.pull {
        PullMode::Incremental => Mode::Incremental,
        PullMode::Range { .. } => Mode::Range,
        PullMode::Full => Mode::Full,
    };
    if !stream.modes.contains(&mode) {
        return Err(fail(
            FailureKind::Invalid,
            format!(
                "the stream `{}` of {} cannot be pulled this way",
                args.stream, manifest.label
            ),
            "Ask for one of the modes that the provider's catalogue names for it.",
        ));
    }
    let off = opened
        .row
        .capabilities_off
        .as_array()
        .is_some_and(|off| off.contains(&json!(stream.capability)));
    if off {
        return Err(fail(
            FailureKind::Invalid,
            format!(
                "`{}` is switched off for this connection",
                stream.capability
            ),
            "Switch the capability on for the connection, then ask again.",
        ));
    }
    Ok(stream)
}

/// Writes batches while the next pages are fetched. A stop drops what is not written:
/// the run goes on from the last commit.
async fn pull_all(
    run: &JobRun,
    ctx: &Context,
    opened: &mut Opened,
    args: &SyncArgs,
    state: &mut RunState,
) -> Result<(), JobError> {
    let mut renewed_at = None;
    let mut gathering = Gathering::begin(opened, state.pull(args, state.position.clone()));
    loop {
        let gathered = tokio::select! {
            gathered = gathering.next() => gathered,
            () = run.stop.cancelled() => return Err(run.released()),
        };
        match gathered {
            Ok(mut batch) => batch.commit(run, ctx, opened, args, state).await?,
            Err(error) if error.place_forgotten && state.begin_anew() => {
                run.log
                    .warn(
                        "the provider has forgotten where this sync stood: it begins anew",
                        json!({ "code": error.code }),
                    )
                    .await;
                gathering = Gathering::begin(opened, state.pull(args, None));
            }
            // A token may end at any page. One that is refused where its predecessor was
            // refused, without a record between, is refused for another reason.
            Err(error)
                if renewed_at != Some(state.done) && opened.renewed(run, ctx, &error).await? =>
            {
                renewed_at = Some(state.done);
                gathering = Gathering::begin(opened, state.pull(args, state.position.clone()));
            }
            Err(error) => return opened.refused(run, ctx, error).await,
        }
        if state.pulled {
            return Ok(());
        }
    }
}

/// What a complete run did not see is gone at the provider.
async fn delete_unseen(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    args: &SyncArgs,
    state: &mut RunState,
) -> Result<(), JobError> {
    let sighting = state.sighting(opened, args);
    loop {
        let tx = run.begin_fenced().await?;
        let gone = ctx
            .store
            .delete_unseen(&tx, &sighting, RECORDS_PER_BATCH as u64)
            .await?;
        state.counts.deleted += gone;
        state.checkpoint(run, &tx, "removing what is gone").await?;
        tx.commit().await?;
        run.signal().await;
        if gone == 0 {
            return Ok(());
        }
        if run.stop.is_cancelled() {
            return Err(run.released());
        }
    }
}

async fn finish(
    run: &JobRun,
    ctx: &Context,
    opened: &Opened,
    args: &SyncArgs,
    state: &mut RunState,
) -> Result<Value, JobError> {
    let result =
        json!({ "stream": args.stream, "records": state.done, "counts": state.counts.by_name() });
    let (org, connection) = (opened.row.org_id, opened.row.id);
    let (tx, row) = run.begin_fenced_on(org, connection).await?;
    ctx.store
        .finish_stream(&tx, connection, &args.stream, state.new_cursor.take())
        .await?;
    if let Some(row) = row {
        ctx.store.note_success(&tx, &row, true).await?;
    }
    let event = NewEvent::new(org, EventKind::SyncCompleted, &run.job.requested_by)
        .connection(connection)
        .job(run.job.id)
        .data(result.clone());
    ctx.store.record_event(&tx, event).await?;
    state.checkpoint(run, &tx, "done").await?;
    run.succeed_in(&tx, &result).await?;
    tx.commit().await?;
    run.log.info("sync complete", result.clone()).await;
    run.signal().await;
    signal(run, ctx, &opened.row).await;
    Ok(result)
}
