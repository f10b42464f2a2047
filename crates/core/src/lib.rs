//! What every process of Patchbay shares: ids, clock, configuration, the job
//! protocol, the stores (every query), the vault, hints and progress.
//!
//! It must not know HTTP serving (axum) nor any provider.

pub mod alerts;
pub mod breaker;
pub mod clock;
pub mod config;
pub mod connection;
pub mod entities;
pub mod events;
pub mod failure;
pub mod health;
pub mod hints;
pub mod ids;
pub mod job;
pub mod job_args;
pub mod local_time;
pub mod outbound;
pub mod progress;
pub mod quota;
pub mod retry;
pub mod schedule;
pub mod secret;
pub mod store;
pub mod sync_args;
pub mod vault;
pub mod webhook_signing;
