//! What a fault test lets a no-op job do (`args.drill`): steps, each with an effect abroad
//! and one in our database, written as every body writes. What goes wrong is decided from
//! outside: each step tells the test where it stands, and the test kills, stops or starves
//! the process there.
//!
//! In debug builds only: a release binary has no table for the effects and no such code,
//! and refuses the argument.

use std::{hint::black_box, time::Duration};

use patchbay_core::{
    failure::{Failure, FailureKind},
    job::{JobError, Next},
    outbound::{
        OutboundRequest,
        header::{HeaderName, HeaderValue},
    },
    progress::Progress,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{context::Context, run::JobRun};

/// A drill.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drill {
    /// Steps to take.
    steps: u32,
    /// Between two steps.
    #[serde(default)]
    pause_ms: u64,
    /// Where calls go, and where the test hears of each step. None: nothing goes abroad.
    #[serde(default)]
    abroad: Option<String>,
    /// Also tell from inside the transaction of each step.
    #[serde(default)]
    inside: bool,
    /// Fail after the last step, to be tried again.
    #[serde(default)]
    fail: bool,
    /// Harm the process instead of taking steps.
    #[serde(default)]
    poison: Option<Poison>,
}

/// Ways to harm a process.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Poison {
    /// It ends at once.
    Abort,
    /// A thread never comes back.
    Loop,
    /// The stack is used up.
    Stack,
    /// Memory is used up.
    Memory,
}

/// Where a drill stands.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// The body begins.
    Begin,
    /// A call with an effect abroad; it carries a key.
    Effect,
    /// Within the transaction of a step, before its commit.
    Inside,
    /// All steps are taken, the job is not finished.
    End,
}

/// Takes the steps that no earlier run has committed.
///
/// # Errors
/// A lost lease, a stop, or what was asked for.
pub(super) async fn run(run: &JobRun, ctx: &Context, drill: Drill) -> Result<Value, JobError> {
    tell(run, ctx, &drill, Place::Begin, 0).await?;
    if let Some(poison) = drill.poison {
        harm(poison);
    }
    let taken = run.job.cursor.as_ref().and_then(Value::as_u64).unwrap_or(0);
    for step in u32::try_from(taken).unwrap_or(u32::MAX)..drill.steps {
        tell(run, ctx, &drill, Place::Effect, step).await?;
        take(run, ctx, &drill, step).await?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(drill.pause_ms)) => {}
            () = run.stop.cancelled() => return Err(run.released()),
        }
    }
    tell(run, ctx, &drill, Place::End, drill.steps).await?;
    if drill.fail {
        return Err(again("it was asked to fail"));
    }
    Ok(json!({ "epoch": run.lease.epoch, "steps": drill.steps }))
}

async fn take(run: &JobRun, ctx: &Context, drill: &Drill, step: u32) -> Result<(), JobError> {
    let tx = run.begin_fenced().await?;
    ctx.store.record_drill(&tx, run.lease, step).await?;
    let done = u64::from(step) + 1;
    let progress = Progress {
        stage: "drilling".to_owned(),
        done,
        unit: "steps".to_owned(),
        ..Progress::default()
    };
    run.checkpoint(&tx, &progress, Some(&done.into())).await?;
    if drill.inside {
        tell(run, ctx, drill, Place::Inside, step).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Tells the test where the body stands; an effect carries its key (docs/job-states.md, step 6).
async fn tell(
    run: &JobRun,
    ctx: &Context,
    drill: &Drill,
    place: Place,
    step: u32,
) -> Result<(), JobError> {
    let Some(abroad) = &drill.abroad else {
        return Ok(());
    };
    let story = json!({
        "job": run.job.id, "epoch": run.lease.epoch, "attempt": run.job.attempt, "step": step,
        "place": place, "process": std::process::id(),
    });
    let url = abroad.parse().map_err(|_| again("no address"))?;
    let mut request =
        OutboundRequest::post_json(url, &story).map_err(|error| again(error.to_string()))?;
    if let Place::Effect = place {
        let key = HeaderValue::from_str(&format!("{}:{step}", run.job.id));
        request = request.header(
            HeaderName::from_static("idempotency-key"),
            key.map_err(|error| again(error.to_string()))?,
        );
    }
    // It does not hear a stop here: what such a body still tries to write is what is tested.
    match ctx.outbound.send(request).await {
        Ok(answer) if answer.status.is_success() => Ok(()),
        Ok(answer) => Err(again(format!("the test answered {}", answer.status))),
        Err(error) => Err(again(error.to_string())),
    }
}

fn harm(poison: Poison) {
    match poison {
        Poison::Abort => std::process::abort(),
        Poison::Loop => loop {
            black_box(());
        },
        Poison::Stack => {
            black_box(deeper(1));
        }
        Poison::Memory => {
            let mut all = Vec::new();
            loop {
                // Touched, so that the system has to find each page.
                all.push(black_box(vec![1_u8; 16 * 1024 * 1024]));
            }
        }
    }
}

#[expect(
    unconditional_recursion,
    reason = "using up the stack is what is asked for"
)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 128]);
    deeper(frame[0] + 1) + frame[127]
}

fn again(message: impl Into<String>) -> JobError {
    JobError {
        next: Next::Retry { after: None },
        failure: Failure::new(FailureKind::Internal, message, "It is a fault test."),
    }
}
