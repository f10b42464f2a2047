//! Webhooks that tell of alerts. What they sign with is made here, shown once, and sealed to
//! the job that stores it: nothing here can read it again.

use std::{fmt, net::IpAddr, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    ids::{AlertChannelId, JobId},
    job::{JobKind, NewJob, Queue},
    job_args::AlertWebhookSetArgs,
    outbound::AddressPolicy,
    secret::{Secret, SecretFields},
    store::alerts::CHANNELS_OF_AN_ORG,
    webhook_signing,
};
use serde::{Deserialize, Serialize, Serializer};
use url::{Host, Url};
use utoipa::ToSchema;

use super::{ChannelView, channels, full};
use crate::{
    access::Caller,
    extract::{Body, Query},
    once::{self, Made, Turn},
    problem::{FieldError, Problem, ProblemBody},
    routes::jobs::JobView,
    state::Api,
    wait::{Wait, WaitQuery},
};

/// Storing is one small transaction.
const SET_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest address: servers refuse longer ones.
const LONGEST: usize = 2048;

/// A webhook to be made. An address has one: a second request gives it another secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAlertWebhook {
    /// Where to: an https address on the public internet, or one that the operator allows
    /// (`outbound.allow`), which may be http.
    #[schema(min_length = 1, max_length = 2048)]
    url: String,
}

/// The webhook, what its messages are signed with, and the job that stores that.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertWebhookSet {
    /// As it is now; null where it was removed since.
    channel: Option<ChannelView>,
    /// What messages are signed with from the end of the job on: `whsec_` and base64, as
    /// Standard Webhooks wants it. Shown this once; null in the answer to a repeat.
    #[schema(value_type = Option<String>)]
    secret: Option<ShownOnce>,
    /// The job that stores it.
    job: JobView,
}

/// A secret on its only way out.
pub struct ShownOnce(Secret);

impl fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ShownOnce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// Makes a webhook that is told of every alert when it is raised, as often as the e-mail
/// channels are. The message is JSON (`type`, `timestamp`, `data`), signed as Standard Webhooks
/// defines it: headers `webhook-id` (the same in every attempt), `webhook-timestamp`,
/// `webhook-signature` (`v1,` and the HMAC-SHA256 of `id.timestamp.body`). Any 2xx takes it;
/// 410 ends it; anything else is tried again as the retry policy for deliveries says, not before
/// `Retry-After`. Redirects are not followed.
///
/// The webhook that an address already has gets another secret, and is used again if the
/// receiver had said 410; the secret before it signs nothing any more once the job has ended.
#[utoipa::path(
    post, path = "/alert-channels/webhooks", tag = "overview",
    params(WaitQuery, once::Header),
    request_body = SetAlertWebhook,
    responses(
        (status = 200, description = "Stored within `wait`", body = AlertWebhookSet),
        (status = 202, description = "On its way", body = AlertWebhookSet),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once,
    }: Body<SetAlertWebhook>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let url = faults.with(
        address(&api.addresses, &body.url).map_err(|message| vec![FieldError::at("/url", message)]),
    )?;
    let (made, secret) = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => (made, None),
        Turn::First(mut work) => {
            api.store.lock_org(&work.tx, caller.org).await?;
            let beside = api
                .store
                .count_channels_beside_webhook(&work.tx, caller.org, &url)
                .await?;
            if beside >= CHANNELS_OF_AN_ORG {
                return Err(Problem::validation(vec![FieldError::at("/url", full())]));
            }
            let channel = api
                .store
                .set_alert_webhook(&work.tx, caller.org, &url, &caller.actor())
                .await?;
            let secret = webhook_signing::new_secret();
            let storing = storing(&api, &caller, channel, &secret);
            let job = api.enqueue_one(&work.tx, storing).await?;
            work.announcement.job(&job);
            let made = work.end(Made::Jobs(vec![job.id])).await?;
            (made, Some(ShownOnce(secret)))
        }
    };
    let mut waited = wait.for_ids(&api, caller.org, &made.into_jobs()).await?;
    let status = waited.status();
    let job = waited.views.pop();
    let job = job.ok_or_else(|| Problem::not_found("job"))?;
    let channel = channels(&api, &caller).await?;
    let channel = channel
        .into_iter()
        .find(|channel| channel.url.as_deref() == Some(url.as_str()));
    let body = AlertWebhookSet {
        channel,
        secret,
        job,
    };
    Ok((status, Json(body)).into_response())
}

/// The job that stores the secret.
fn storing(api: &Api, caller: &Caller, channel: AlertChannelId, secret: &Secret) -> NewJob {
    let id = JobId::new(api.store.clock());
    let fields = SecretFields([("secret".to_owned(), secret.clone())].into());
    let args = AlertWebhookSetArgs { channel };
    NewJob {
        id: Some(id),
        // The one shown last is the one that stays.
        lane: Some(format!("{channel}:secret")),
        args: serde_json::to_value(args).expect("an id is JSON"),
        sealed: Some(api.sealing.seal(caller.org, id, &fields)),
        timeout: SET_TIMEOUT,
        ..caller.job(JobKind::AlertWebhookSet, Queue::Interactive)
    }
}

/// The address, if it may lead where it leads. Names are resolved by workers, each time they
/// send, and refused there too.
fn address(policy: &AddressPolicy, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    let Some(host) = url.host() else {
        return Err("names no host: write https://hooks.example.com/path".to_owned());
    };
    let is_named = policy.names(&host);
    match url.scheme() {
        "https" => {}
        "http" if is_named => {}
        _ => return Err("must begin with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password: messages are signed".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a part after #: it is never sent".to_owned());
    }
    if url.as_str().len() > LONGEST {
        return Err(format!(
            "must be at most {LONGEST} bytes long as it is sent"
        ));
    }
    let is_outside = match host {
        Host::Ipv4(ip) => policy.permits("", IpAddr::V4(ip)),
        Host::Ipv6(ip) => policy.permits("", IpAddr::V6(ip)),
        Host::Domain(name) => is_named || has_two_labels(name),
    };
    if is_outside {
        Ok(url)
    } else {
        Err(format!(
            "leads to {host}, which is not on the public internet; the operator may allow it (outbound.allow)"
        ))
    }
}

/// `localhost`, and other names of one label, are names of this network.
fn has_two_labels(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.contains('.') && !name.to_ascii_lowercase().ends_with(".localhost")
}
