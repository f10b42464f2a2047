//! Name resolution under the address policy. What it answers is what gets
//! connected to: there is no second look-up in between.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::AddressPolicy;

/// A resolver's answer held an address that the policy refuses.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{0} is not a public address")]
pub(super) struct RefusedAddress(pub IpAddr);

/// The system's resolver behind the policy.
#[derive(Debug)]
pub(super) struct CheckedResolver(pub Arc<AddressPolicy>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
            policy
                .check(name.as_str(), &addresses)
                .map_err(RefusedAddress)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
