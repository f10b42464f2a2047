//! Patchbay's integration tests: one binary, one module per subject.
//!
//! Modules under `fleet` run real processes and are run one at a time (`.config/nextest.toml`).
//! `architecture` and `tidy` read the tree and need no servers.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its module shares"
)]

mod alert_plans;
mod alerts;
mod architecture;
mod carrier;
mod cli;
mod consent;
mod fleet;
mod guarded;
mod harness;
mod health;
mod refresh;
mod smtp;
mod source_tree;
mod sync;
mod tidy;
