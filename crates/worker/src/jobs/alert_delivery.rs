//! Tells a webhook of an alert, signed as Standard Webhooks defines it. The message may arrive
//! more than once, always under the same `webhook-id`. No redirect is followed: the signed
//! message goes to the address that an admin gave, or nowhere.

use std::time::Duration;

use patchbay_core::{
    entities::alert_webhook,
    failure::{Failure, FailureKind, NextAction},
    ids::OrgId,
    job::{JobError, Next},
    job_args::AlertDeliveryArgs,
    outbound::{
        Limits, OutboundError, OutboundRequest, OutboundResponse, StatusCode,
        header::{HeaderName, HeaderValue},
    },
    secret::Secret,
    vault::columns::{ALERT_WEBHOOK, Cell},
    webhook_signing::{ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    alert_webhook_set::unopened,
    opening::{args, fail, org},
};
use crate::{context::Context, run::JobRun};

/// A receiver answers at once and works later. Its status says everything: the body is not
/// read, so a message that was taken is not sent again for what comes after.
const LIMITS: Limits = Limits {
    header: Duration::from_secs(15),
    total: Duration::from_secs(20),
    body: 0,
};

/// What to do about a receiver that wants no more.
const GONE_ACTION: &str = "Remove the channel; or send it a test message once the receiver takes messages again, and it is used again.";

/// Why a message did not arrive.
struct Undelivered {
    error: JobError,
    wants_no_more: bool,
}

impl From<JobError> for Undelivered {
    fn from(error: JobError) -> Self {
        Self {
            error,
            wants_no_more: false,
        }
    }
}

/// The body of `alert_delivery`.
///
/// # Errors
/// The receiver did not answer, or not with 2xx; its address leads inside.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    let args: AlertDeliveryArgs = args(run)?;
    let org = org(run)?;
    let db = ctx.store.db();
    let Some(webhook) = ctx.store.alert_webhook(db, org, args.channel).await? else {
        return Ok(unsent("the channel was removed"));
    };
    if webhook.disabled_at.is_some() && !args.test {
        // One that was claimed before has failed, or a person retries it: an end that looks like
        // success would hide that the message never arrived.
        if run.lease.epoch > 1 {
            return Err(wanted_no_more());
        }
        return Ok(unsent("the receiver wanted no more"));
    }
    let request = match request(run, ctx, &webhook, &args.message).await {
        Ok(request) => request,
        Err(error) => return Err(note(run, ctx, &webhook, error.into()).await?),
    };
    let answer = tokio::select! {
        answer = ctx.outbound.send(request) => answer,
        () = run.stop.cancelled() => return Err(run.released()),
    };
    let status = match taken(&answer, ctx) {
        Ok(status) => status,
        Err(undelivered) => return Err(note(run, ctx, &webhook, undelivered).await?),
    };
    let result = json!({ "sent": true, "status": status.as_u16() });
    let tx = run.begin_fenced().await?;
    let tested_by = args.test.then_some(run.job.requested_by.as_str());
    ctx.store
        .note_alert_delivered(&tx, &webhook, tested_by)
        .await?;
    run.succeed_in(&tx, &result).await?;
    tx.commit().await?;
    Ok(result)
}

fn unsent(why: &str) -> Value {
    json!({ "sent": false, "why": why })
}

/// The message with a fresh timestamp, signed.
async fn request(
    run: &JobRun,
    ctx: &Context,
    webhook: &alert_webhook::Model,
    message: &Value,
) -> Result<OutboundRequest, JobError> {
    let key = signing_key(run, ctx, webhook.org_id, webhook).await?;
    let broken = |_| {
        fail(
            FailureKind::Internal,
            "the stored message or address of this channel cannot be read",
            "Set the channel anew.",
        )
    };
    let url: Url = webhook.url.parse().map_err(|_| broken(()))?;
    let request = OutboundRequest::post_json(url, message).map_err(|_| broken(()))?;
    let body = request.body.as_deref().unwrap_or_default();
    let id = format!("msg_{}", run.job.id.0.simple());
    let timestamp = ctx.clock.now().timestamp();
    let headers = [
        (ID_HEADER, id.clone()),
        (TIMESTAMP_HEADER, timestamp.to_string()),
        (SIGNATURE_HEADER, key.sign(&id, timestamp, body)),
    ];
    let mut request = OutboundRequest {
        limits: LIMITS,
        head_only: true,
        trace_context: run.job.trace_context.clone(),
        ..request
    };
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).map_err(|_| broken(()))?;
        request = request.header(HeaderName::from_static(name), value);
    }
    Ok(request)
}

async fn signing_key(
    run: &JobRun,
    ctx: &Context,
    org: OrgId,
    webhook: &alert_webhook::Model,
) -> Result<SigningKey, JobError> {
    let Some(closed) = &webhook.secret else {
        return Err(JobError {
            next: Next::Retry { after: None },
            failure: Failure::new(
                FailureKind::Conflict,
                "the secret of this channel is not stored yet",
                "It is tried again by itself; if it stays, set the channel anew.",
            ),
        });
    };
    let cell = Cell::new(&ALERT_WEBHOOK, &[webhook.id.0]);
    let plain = ctx.vault.open(&ctx.store, org, &cell, closed).await;
    let plain = plain.map_err(unopened)?;
    let secret = std::str::from_utf8(&plain).ok().map(Secret::new);
    secret.iter().for_each(|secret| run.log.hide(secret));
    secret.as_ref().and_then(SigningKey::of).ok_or_else(|| {
        fail(
            FailureKind::Internal,
            "what is stored as the secret of this channel is none",
            "Set the channel anew: it gets another secret.",
        )
    })
}

fn wanted_no_more() -> JobError {
    let mut error = fail(
        FailureKind::NotFound,
        "not sent: the receiver has answered 410 Gone, it wants no more messages",
        GONE_ACTION,
    );
    error.failure.next_action = Some(NextAction::fix("/url"));
    error
}

/// The status of an answer that takes the message.
fn taken(
    answer: &Result<OutboundResponse, OutboundError>,
    ctx: &Context,
) -> Result<StatusCode, Undelivered> {
    let answer = match answer {
        Ok(answer) if answer.status.is_success() => return Ok(answer.status),
        Ok(answer) => answer,
        Err(error) => return Err(unanswered(error)),
    };
    let after = answer.retry_after(ctx.clock.now());
    Err(refused(answer.status, after))
}

fn refused(status: StatusCode, after: Option<Duration>) -> Undelivered {
    let said = format!("the receiver answered {status}");
    let again = Next::Retry { after };
    let (kind, message, action, next) = match status {
        StatusCode::GONE => (
            FailureKind::NotFound,
            format!("{said}: it wants no more messages, and gets none"),
            GONE_ACTION,
            Next::Fail,
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            FailureKind::RateLimited,
            said,
            "Nothing to do: it is tried again by itself.",
            again,
        ),
        status if status.is_redirection() => (
            FailureKind::Invalid,
            format!("{said}; redirects are not followed"),
            "Set a channel with the address where it leads to, and remove this one.",
            again,
        ),
        status if status.is_server_error() => (
            FailureKind::ProviderDown,
            said,
            "Look at the receiver's own log; it is tried again by itself.",
            again,
        ),
        _ => (
            FailureKind::Invalid,
            said,
            "Look at the receiver's own log: its address, and the secret that it verifies with.",
            again,
        ),
    };
    let mut failure = Failure::new(kind, message, action);
    failure.code = Some(status.as_u16().to_string());
    if kind == FailureKind::Invalid || kind == FailureKind::NotFound {
        failure.next_action = Some(NextAction::fix("/url"));
    }
    Undelivered {
        error: JobError { next, failure },
        wants_no_more: status == StatusCode::GONE,
    }
}

fn unanswered(error: &OutboundError) -> Undelivered {
    let again = "Look whether the receiver runs and can be reached; it is tried again by itself.";
    let (kind, action, next) = match error {
        OutboundError::Blocked { .. } => (
            FailureKind::Blocked,
            "Use an address on the public internet, or ask the operator to allow this one (outbound.allow).",
            Next::Fail,
        ),
        OutboundError::Timeout { .. } => (FailureKind::Timeout, again, Next::Retry { after: None }),
        OutboundError::Dns { .. }
        | OutboundError::Connect { .. }
        | OutboundError::Tls { .. }
        | OutboundError::Broken { .. }
        | OutboundError::Paused { .. } => (
            FailureKind::ProviderDown,
            again,
            Next::Retry { after: None },
        ),
        // Its body is not read.
        OutboundError::TooLarge { .. }
        | OutboundError::ForeignHost { .. }
        | OutboundError::Malformed(_)
        | OutboundError::Setup(_) => (
            FailureKind::Internal,
            "Report it with the job's id.",
            Next::Fail,
        ),
    };
    let failure = Failure::new(kind, error.to_string(), action);
    JobError { next, failure }.into()
}

/// Shows the failure on the channel; the error that the body answers.
async fn note(
    run: &JobRun,
    ctx: &Context,
    webhook: &alert_webhook::Model,
    undelivered: Undelivered,
) -> Result<JobError, JobError> {
    let Undelivered {
        error: JobError { next, failure },
        wants_no_more,
    } = undelivered;
    let failure = run.log.scrub_failure(failure);
    let tx = run.begin_fenced().await?;
    ctx.store
        .note_alert_undelivered(&tx, webhook, &failure, wants_no_more)
        .await?;
    tx.commit().await?;
    Ok(JobError { next, failure })
}
