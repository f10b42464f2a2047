//! What each kind of job does: one file per kind, and this one screen that finds it.
//!
//! To add a kind: a variant of `patchbay_core::job::JobKind`; a file here with
//! `pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError>`;
//! its line in the `match`. A body is a plain function: a test calls it with
//! `JobRun::new` and no queue. It writes only in transactions from
//! `JobRun::begin_fenced`, looks at `JobRun::stop` between steps, and must not
//! block its thread: one that is deaf to its deadline ends the process.

use patchbay_core::job::{JobError, JobKind};
use serde_json::Value;

use crate::{context::Context, run::JobRun};

mod action;
mod alert_delivery;
mod alert_webhook_set;
mod checking;
mod connection_test;
mod consent_exchange;
mod credential_refresh;
mod credential_revoke;
pub(crate) mod cut_short;
#[cfg(debug_assertions)]
mod drill;
mod health_batch;
mod health_check;
mod noop;
mod oauth_client_set;
pub mod opening;
mod sync;

pub use consent_exchange::ConsentCounts;

/// Runs the body of a claimed job. Bodies are boxed but for the smallest: else every job
/// would carry the size of the largest.
///
/// # Errors
/// What the body answered; the error says what happens next.
pub async fn run(run: &JobRun, ctx: &Context) -> Result<Value, JobError> {
    match run.job.kind {
        JobKind::Noop => noop::run(run, ctx).await,
        JobKind::Action => Box::pin(action::run(run, ctx)).await,
        JobKind::AlertDelivery => Box::pin(alert_delivery::run(run, ctx)).await,
        JobKind::AlertWebhookSet => Box::pin(alert_webhook_set::run(run, ctx)).await,
        JobKind::ConnectionTest => Box::pin(connection_test::run(run, ctx)).await,
        JobKind::ConsentExchange => Box::pin(consent_exchange::run(run, ctx)).await,
        JobKind::OauthClientSet => Box::pin(oauth_client_set::run(run, ctx)).await,
        JobKind::CredentialRefresh => Box::pin(credential_refresh::run(run, ctx)).await,
        JobKind::CredentialRevoke => Box::pin(credential_revoke::run(run, ctx)).await,
        JobKind::HealthCheck => Box::pin(health_check::run(run, ctx)).await,
        JobKind::HealthBatch => Box::pin(health_batch::run(run, ctx)).await,
        JobKind::Sync => Box::pin(sync::run(run, ctx)).await,
    }
}
