//! One file per table. Rows, never the HTTP shape. Columns are explained in
//! `migrations/src/*/postgres.sql`.

pub mod alert;
pub mod alert_channel;
pub mod alert_limit;
pub mod alert_webhook;
pub mod api_key;
pub mod breaker;
pub mod connection;
pub mod connection_health;
pub mod consent;
pub mod credential;
pub mod deployment;
pub mod duty_report;
pub mod event;
pub mod health_check;
pub mod health_day;
pub mod health_ring;
pub mod idempotency_key;
pub mod job;
pub mod job_log;
pub mod oauth_client;
pub mod org;
pub mod org_key;
pub mod process;
pub mod quota;
pub mod record;
pub mod retention_mark;
pub mod retry_policy;
pub mod schedule;
pub mod schedule_tick;
pub mod stream_state;
