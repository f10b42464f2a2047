//! The tests of `api`, on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its module shares"
)]

mod database;

#[path = "../api/access.rs"]
mod access;
#[path = "../api/alert_channels.rs"]
mod alert_channels;
#[path = "../api/alert_limits.rs"]
mod alert_limits;
#[path = "../api/alert_webhooks.rs"]
mod alert_webhooks;
#[path = "../api/alerts.rs"]
mod alerts;
#[path = "../api/bad_input.rs"]
mod bad_input;
#[path = "../api/connections.rs"]
mod connections;
#[path = "../api/dead.rs"]
mod dead;
#[path = "../api/desk.rs"]
mod desk;
#[path = "../api/health.rs"]
mod health;
#[path = "../api/idempotency.rs"]
mod idempotency;
#[path = "../api/jobs.rs"]
mod jobs;
#[path = "../api/listener.rs"]
mod listener;
#[path = "../api/progress.rs"]
mod progress;
#[path = "../api/records.rs"]
mod records;
#[path = "../api/retry_policy.rs"]
mod retry_policy;
#[path = "../api/schedules.rs"]
mod schedules;
#[path = "../api/sync.rs"]
mod sync;
