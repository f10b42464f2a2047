//! The API through its router, on SQLite. `api_postgres` runs the same tests on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its module shares"
)]

mod access;
mod alert_channels;
mod alert_limits;
mod alert_webhooks;
mod alerts;
mod bad_input;
mod connections;
mod database;
mod dead;
mod desk;
mod document;
mod health;
mod idempotency;
mod jobs;
mod listener;
mod progress;
mod records;
mod retry_policy;
mod schedules;
mod sync;
