//! Calls as a fleet makes them, to stand-ins on this machine.

use std::sync::Arc;

use patchbay_core::{
    breaker::Breakers,
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    store::Store,
};

/// Calls that pass the circuit breakers of the store's fleet.
pub fn guarded(store: &Store) -> Arc<Outbound> {
    let config = OutboundConfig {
        policy: AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
        },
        ..OutboundConfig::default()
    };
    let breakers = Arc::new(Breakers::new(store.clone()));
    Arc::new(Outbound::new(config).unwrap().with_breakers(breakers))
}
