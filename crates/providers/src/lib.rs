//! Third-party providers: one folder each, same file names everywhere.
//!
//! A provider gets a [`Session`] and returns values. It must not know a store,
//! a queue or another provider.

mod provider;

pub use provider::*;
