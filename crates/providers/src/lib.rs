//! Third-party providers: one folder each, same file names everywhere.
//!
//! A provider gets a [`Session`] and returns values. It must not know a store,
//! a queue or another provider.

pub mod address;
mod backoff;
mod check;
mod effect;
mod error;
mod etsy;
mod google_drive;
mod manifest;
pub mod oauth;
mod provider;
mod reading;
mod registry;
mod schema;
mod session;
pub mod shapes;
mod shopify;
mod slack;
mod smtp;
mod square;
mod walk;

pub use backoff::Backoff;
pub use check::Checked;
pub use effect::{Effect, EffectWatch};
pub use error::ProviderError;
pub use manifest::*;
pub use provider::{Account, Page, Provider, Pull, PullMode, PulledRecord, RangeEnd, SyncArgs};
pub use registry::{OverrideError, Registry};
pub use schema::{FieldError, ItemKind, Items, Property, PropertyKind, Schema};
pub use session::Session;
