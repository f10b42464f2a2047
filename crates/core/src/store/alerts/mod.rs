//! Alerts: the causes that are present are read from the tables that tell of them
//! (`causes`), and alerts are made to agree with them (`reconcile`). Nothing that fails
//! has to say so in a second place, so no failure can be missed: a scheduler that was away
//! raises late what it would have raised in time, and what is over resolves by itself,
//! whoever repaired it.
//!
//! What a look costs depends on how much is wrong, not on how much there is: each cause has
//! an index that holds nothing else. Any number of schedulers look at once.

mod causes;
mod channels;
mod limits;
mod look;
mod read;
mod reconcile;
mod telling;
mod waiting;
mod webhooks;

pub use channels::{CHANNELS_OF_AN_ORG, SEND_EMAIL};
pub use limits::SetLimits;
pub use look::{AlertWalk, ChangedAlert};
pub use read::{AlertFilter, AlertPlace};
