//! What every job body may use. Shared by all bodies of a process; what belongs
//! to one job is in [`crate::run::JobRun`].

use std::sync::Arc;

use patchbay_core::{clock::Clock, hints::Hints, store::Store};

/// The process's parts that bodies work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// Every query.
    pub store: Store,
    /// Where hints of follow-up jobs and signals go.
    pub hints: Arc<dyn Hints>,
    /// The time of day, for what is not a lease or `run_at`.
    pub clock: Arc<dyn Clock>,
}
