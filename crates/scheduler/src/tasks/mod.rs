//! The scheduler's duties: one file each, and this one screen that lists them. To add
//! one: a file with a type that implements [`Duty`], and its line in [`all`].

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::FutureExt;
use patchbay_core::{clock::Clock, hints::HintsAway, ids::ProcessId, store::StoreError};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Identity, Reports, SchedulerDeps, report::Ended};

mod alerts;
mod health;
mod hinting;
mod presence;
mod prune;
mod refresh_ahead;
mod report;
mod rescue;
mod rollups;
mod schedules;
mod top_up;

/// A run that has not ended by then, or by its next turn if that is later, has failed: a
/// database that vanished without a word would hold it until TCP gives up.
const RUN_WITHIN: Duration = Duration::from_secs(10);

/// Something a scheduler does again and again. Any number of schedulers do it at once.
#[async_trait]
pub(crate) trait Duty: Send {
    /// Its name in reports and logs.
    fn name(&self) -> &'static str;

    /// The time from one run to the next.
    fn every(&self) -> Duration;

    /// Does it once; says how much was done.
    async fn run(&mut self) -> Result<u64, DutyError>;

    /// What a run does at most: one that did so much begins again at once. `None`: a run
    /// does all there is.
    fn full_batch(&self) -> Option<u64> {
        None
    }

    /// How long the oldest row that is due for it has waited, asked every few seconds;
    /// `None` where it has no rows that are due at a time.
    async fn behind(&mut self) -> Result<Option<Duration>, DutyError> {
        Ok(None)
    }
}

/// Why a run of a duty came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DutyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Hints(#[from] HintsAway),
    /// The database answers, and says that this process is dead.
    #[error("this scheduler was declared dead and registers anew")]
    Dead,
}

/// Every duty of a scheduler.
pub(crate) fn all(
    deps: &SchedulerDeps,
    me: watch::Sender<Option<ProcessId>>,
    me_reader: &watch::Receiver<Option<ProcessId>>,
) -> Vec<Box<dyn Duty>> {
    let mut duties: Vec<Box<dyn Duty>> = vec![
        Box::new(top_up::TopUp::new(deps)),
        Box::new(rescue::Rescue::new(deps, me_reader.clone())),
        Box::new(schedules::Schedules::new(deps)),
        Box::new(health::Health::new(deps)),
        Box::new(prune::Prune::new(deps)),
        Box::new(rollups::Rollups::new(deps)),
        Box::new(report::Report::new(deps, me_reader.clone())),
        Box::new(refresh_ahead::RefreshAhead::new(deps)),
        Box::new(alerts::Alerts::new(deps)),
    ];
    if let Identity::Own { host } = &deps.identity {
        duties.push(Box::new(presence::Presence::new(deps, host.clone(), me)));
    }
    duties
}

/// How often a duty is asked how far behind it is.
const LOOK_BEHIND: Duration = Duration::from_secs(5);

/// Runs a duty on time until shutdown. A failure is told once, and once more when it is over.
pub(crate) async fn repeat(
    mut duty: Box<dyn Duty>,
    reports: Arc<Reports>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut look_behind = Instant::now();
    let mut ticks = tokio::time::interval(duty.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let planned = tokio::select! {
            planned = ticks.tick() => planned,
            () = shutdown.cancelled() => return,
        };
        let began = Instant::now();
        let began_at = clock.now();
        let name = duty.name();
        let within = RUN_WITHIN.max(duty.every());
        let run = AssertUnwindSafe(duty.run()).catch_unwind();
        let outcome = match timeout(within, run).await {
            Ok(Ok(outcome)) => outcome.map_err(|error| error.to_string()),
            Ok(Err(_)) => Err("the duty's code panicked".to_owned()),
            Err(_) => Err(format!("no answer within {} s", within.as_secs())),
        };
        let is_full =
            matches!((&outcome, duty.full_batch()), (Ok(done), Some(full)) if *done >= full);
        let ended = Ended {
            duty: name,
            began: began.into_std(),
            began_at,
            late: began - planned,
            outcome,
        };
        let had_failed = reports.note(&ended);
        match ended.outcome {
            Ok(_) if had_failed => tracing::info!(duty = name, "works again"),
            Ok(done) => tracing::trace!(duty = name, done, "done"),
            Err(error) if had_failed => tracing::debug!(duty = name, error, "still fails"),
            Err(error) => tracing::warn!(duty = name, error, "failed; it is tried again"),
        }
        if look_behind <= Instant::now() {
            look_behind = Instant::now() + LOOK_BEHIND;
            reports.note_behind(name, behind(&mut *duty).await);
        }
        if is_full {
            ticks.reset_immediately();
        }
    }
}

async fn behind(duty: &mut dyn Duty) -> Option<Duration> {
    let name = duty.name();
    let looked = AssertUnwindSafe(duty.behind()).catch_unwind();
    match timeout(RUN_WITHIN, looked).await {
        Ok(Ok(Ok(behind))) => behind,
        Ok(Ok(Err(error))) => {
            tracing::debug!(duty = name, %error, "how far behind it is cannot be said");
            None
        }
        Ok(Err(_)) | Err(_) => None,
    }
}
