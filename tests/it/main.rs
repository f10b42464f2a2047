//! Patchbay's integration tests: one binary, one module per subject.
//!
//! Modules under `fleet` run real processes and are run one at a time (`.config/nextest.toml`).
//! `architecture` and `tidy` read the tree and need no servers.

mod architecture;
mod harness;
mod source_tree;
mod tidy;
