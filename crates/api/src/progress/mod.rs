//! Progress to subscribers: one hub per process re-reads what is watched, in one
//! query for all; every subscriber gets state, never deltas, so a reader that is
//! slow or was away misses nothing but the pictures between.
//!
//! Only committed progress is seen, because it is read from the database.
//! Signals make it quick; without them it is read by the clock.

pub mod frame;
pub mod hub;
mod org_room;
mod refresh;
pub mod revoked;
pub mod sse;

pub use frame::{JobFrame, frame_id};
