//! What every job body may use. Shared by all bodies of a process; what belongs
//! to one job is in [`crate::run::JobRun`].

use std::sync::Arc;

use patchbay_core::{clock::Clock, hints::Hints, outbound::Outbound, store::Store, vault::Vault};
use patchbay_providers::Registry;

use crate::{clients::OauthClients, jobs::ConsentCounts, refresh::Refresher, silence::Silence};

/// The process's parts that bodies work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// Every query.
    pub store: Store,
    /// Where hints of follow-up jobs and signals go.
    pub hints: Arc<dyn Hints>,
    /// The time of day, for what is not a lease or `run_at`.
    pub clock: Arc<dyn Clock>,
    /// Opens and closes credentials.
    pub vault: Arc<Vault>,
    /// Every provider.
    pub providers: Arc<Registry>,
    /// The one HTTP client.
    pub outbound: Arc<Outbound>,
    /// To which OAuth clients grants are given.
    pub clients: Arc<OauthClients>,
    /// Keeps granted credentials alive.
    pub refresher: Arc<Refresher>,
    /// What became of consents, for `/metrics`.
    pub consents: Arc<ConsentCounts>,
    /// Which providers do not answer checks.
    pub silence: Arc<Silence>,
}
