//! Does nothing for `args.sleep_ms`. Benchmarks and fault tests run it, so it can
//! also misbehave on demand: `args.panic` panics with that text, `args.fail` fails
//! with it, `args.stubborn_ms` sleeps through every stop, `args.deaf_ms` blocks its thread. In debug
//! builds `args.drill` takes the steps of a fault test.

use std::time::Duration;

use patchbay_core::{
    failure::{Failure, FailureKind},
    job::{JobError, Next},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{context::Context, run::JobRun};

/// Arguments of a no-op job.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Args {
    /// Milliseconds to sleep; a stop ends the sleep.
    sleep_ms: u64,
    /// Panic with this text.
    panic: Option<String>,
    /// Fail, to be tried again, with this text.
    fail: Option<String>,
    /// Milliseconds to sleep whatever is asked.
    stubborn_ms: u64,
    /// Milliseconds to block the thread, hearing nothing.
    deaf_ms: u64,
    /// Steps of a fault test.
    #[cfg(debug_assertions)]
    drill: Option<super::drill::Drill>,
}

/// The body of `noop`.
///
/// # Errors
/// Arguments that are none of ours, `args.fail`, or a stop during the sleep.
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "only a drill works with what bodies have")
)]
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: Args = serde_json::from_value(run.job.args.clone()).map_err(|error| JobError {
        next: Next::Fail,
        failure: Failure::new(
            FailureKind::Invalid,
            format!("arguments of noop: {error}"),
            "Correct the arguments.",
        ),
    })?;
    #[cfg(debug_assertions)]
    if let Some(drill) = args.drill {
        return super::drill::run(run, ctx, drill).await;
    }
    if let Some(text) = args.panic {
        panic!("{text}");
    }
    if let Some(text) = args.fail {
        return Err(JobError {
            next: Next::Retry { after: None },
            failure: Failure::new(FailureKind::Internal, text, "It was asked to fail."),
        });
    }
    if args.deaf_ms > 0 {
        #[expect(
            clippy::disallowed_methods,
            reason = "blocking the thread is what is asked for"
        )]
        std::thread::sleep(Duration::from_millis(args.deaf_ms));
    }
    if args.stubborn_ms > 0 {
        tokio::time::sleep(Duration::from_millis(args.stubborn_ms)).await;
    }
    if args.sleep_ms > 0 {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(args.sleep_ms)) => {}
            () = run.stop.cancelled() => return Err(run.released()),
        }
    }
    Ok(json!({}))
}
