//! How an organization's failed work is tried again.

use std::time::Duration;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use patchbay_core::{
    retry::{BOUNDS, Backoff, RetryPolicy, Scope},
    store::retry_policy::SetPolicy,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    access::Caller,
    extract::Body,
    problem::{FieldError, Problem, ProblemBody},
    schemas,
    state::Api,
};

/// How failed work is tried again: jobs, and deliveries of webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetryPolicies)]
pub struct PoliciesView {
    /// Of jobs. It is read when a job fails, so a change takes effect at once, also on jobs that
    /// run or wait already; a wait that has begun stays as long as it is. Jobs that have a
    /// number of attempts of their own (tests of credentials, checks, consents) keep it.
    jobs: PolicyView,
    /// Of deliveries of webhooks.
    webhooks: PolicyView,
}

/// A policy in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetryPolicy)]
struct PolicyView {
    /// Retries after the first attempt. A provider's "too many calls", an outage of a provider
    /// that is known already, and a credential that has to be set anew cost none.
    max_retries: u16,
    /// How the wait grows: `exponential` doubles it, `linear` adds the base each time, `fixed`
    /// keeps it; `standard_webhooks` is the schedule of that standard, whatever base and cap say.
    #[schema(schema_with = schemas::backoff)]
    kind: Backoff,
    /// The wait before the first retry.
    base_seconds: f64,
    /// No wait is longer, unless the provider asks for it (`Retry-After`).
    cap_seconds: f64,
    /// Each wait is shortened at random, down to half.
    jitter: bool,
    /// Whether what gave up waits in the dead-letter queue for a person. If not, it is discarded
    /// at once. A job that was quarantined, because processes died under it, waits always.
    dead_letters: bool,
    /// The wait before each retry in seconds, before jitter shortens it.
    delays_seconds: Vec<f64>,
    /// When a person last set it; null: the usual one.
    updated_at: Option<DateTime<Utc>>,
    /// Who did.
    updated_by: Option<String>,
}

impl PolicyView {
    fn of(scope: Scope, set: Option<SetPolicy>) -> Self {
        let (policy, updated_at, updated_by) = match set {
            Some(set) => (set.policy, Some(set.updated_at), Some(set.updated_by)),
            None => (RetryPolicy::usual(scope), None, None),
        };
        Self {
            max_retries: policy.max_retries,
            kind: policy.backoff,
            base_seconds: policy.base.as_secs_f64(),
            cap_seconds: policy.cap.as_secs_f64(),
            jitter: policy.jitter,
            dead_letters: policy.dead_letters,
            delays_seconds: policy.delays().iter().map(Duration::as_secs_f64).collect(),
            updated_at,
            updated_by,
        }
    }
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPolicies {
    /// Of jobs.
    jobs: Option<SetOne>,
    /// Of deliveries of webhooks.
    webhooks: Option<SetOne>,
}

/// What to change of a policy; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetRetryPolicy)]
pub struct SetOne {
    /// Retries after the first attempt.
    #[schema(minimum = 0, maximum = 20)]
    max_retries: Option<u16>,
    /// How the wait grows; `standard_webhooks` is for webhooks only.
    #[schema(schema_with = schemas::backoff)]
    kind: Option<Backoff>,
    /// The wait before the first retry.
    #[schema(minimum = 0.1, maximum = 86400)]
    base_seconds: Option<f64>,
    /// No wait is longer; at least `base_seconds`.
    #[schema(minimum = 0.1, maximum = 86400)]
    cap_seconds: Option<f64>,
    /// Shorten each wait at random, down to half.
    jitter: Option<bool>,
    /// Keep what gave up in the dead-letter queue.
    dead_letters: Option<bool>,
}

impl SetOne {
    fn says_nothing(&self) -> bool {
        matches!(
            self,
            Self {
                max_retries: None,
                kind: None,
                base_seconds: None,
                cap_seconds: None,
                jitter: None,
                dead_letters: None,
            }
        )
    }

    /// The policy in force with these changes, or every field that is wrong with them.
    fn over(&self, scope: Scope, before: RetryPolicy, errors: &mut Vec<FieldError>) -> RetryPolicy {
        let at = |field: &str| {
            let scope = match scope {
                Scope::Jobs => "jobs",
                Scope::Webhooks => "webhooks",
            };
            format!("/{scope}/{field}")
        };
        let seconds = |said: Option<f64>, before| said.map_or(before, duration);
        let policy = RetryPolicy {
            backoff: self.kind.unwrap_or(before.backoff),
            base: seconds(self.base_seconds, before.base),
            cap: seconds(self.cap_seconds, before.cap),
            jitter: self.jitter.unwrap_or(before.jitter),
            max_retries: self.max_retries.unwrap_or(before.max_retries),
            dead_letters: self.dead_letters.unwrap_or(before.dead_letters),
        };
        if policy.cap < policy.base {
            let (field, message) = match self.cap_seconds {
                Some(_) => ("cap_seconds", "must be at least `base_seconds`"),
                None => ("base_seconds", "must be at most `cap_seconds`"),
            };
            errors.push(FieldError::at(at(field), message));
        }
        if scope == Scope::Jobs && policy.backoff == Backoff::StandardWebhooks {
            let message = "is for webhooks; use exponential, linear or fixed";
            errors.push(FieldError::at(at("kind"), message));
        }
        policy
    }
}

/// To the millisecond. Others than the schema lets through come to the nearest bound.
fn duration(seconds: f64) -> Duration {
    let (least, most) = (BOUNDS.shortest, BOUNDS.longest);
    let seconds = seconds.clamp(least.as_secs_f64(), most.as_secs_f64());
    let precise = Duration::try_from_secs_f64(seconds).unwrap_or(least);
    Duration::from_millis(u64::try_from(precise.as_millis()).unwrap_or(u64::MAX))
}

/// How failed work is tried again.
#[utoipa::path(
    get, path = "/retry-policy", tag = "retry policy",
    responses((status = 200, body = PoliciesView)),
)]
pub async fn read(State(api): State<Api>, caller: Caller) -> Result<Json<PoliciesView>, Problem> {
    show(&api, &caller).await
}

/// Changes how failed work is tried again. It takes effect on the next failure of any job, also
/// of one that runs or waits already.
#[utoipa::path(
    put, path = "/retry-policy", tag = "retry policy",
    request_body = SetPolicies,
    responses(
        (status = 200, body = PoliciesView),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Body {
        value: body,
        faults,
        once: _,
    }: Body<SetPolicies>,
) -> Result<Json<PoliciesView>, Problem> {
    let tx = api.store.begin().await?;
    let mut errors = Vec::new();
    let mut changes = Vec::new();
    for (scope, said) in [
        (Scope::Jobs, body.jobs.unwrap_or_default()),
        (Scope::Webhooks, body.webhooks.unwrap_or_default()),
    ] {
        if said.says_nothing() {
            continue;
        }
        let before = api.store.retry_policy(&tx, caller.org, scope).await?;
        let before = before.map_or_else(|| RetryPolicy::usual(scope), |set| set.policy);
        changes.push((scope, said.over(scope, before, &mut errors)));
    }
    faults.with(if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    })?;
    for (scope, policy) in changes {
        api.store
            .set_retry_policy(&tx, caller.org, scope, policy, &caller.actor())
            .await?;
    }
    tx.commit().await?;
    show(&api, &caller).await
}

async fn show(api: &Api, caller: &Caller) -> Result<Json<PoliciesView>, Problem> {
    let view = async |scope| -> Result<PolicyView, Problem> {
        let db = api.store.db();
        let set = api.store.retry_policy(db, caller.org, scope).await?;
        Ok(PolicyView::of(scope, set))
    };
    Ok(Json(PoliciesView {
        jobs: view(Scope::Jobs).await?,
        webhooks: view(Scope::Webhooks).await?,
    }))
}
