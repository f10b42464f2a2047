//! Which addresses the product may talk to: public ones, and what an operator
//! allows on top. It judges addresses only; names are resolved in `resolver`.
//!
//! Special-purpose ranges: RFC 6890 and the IANA registries
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry> (as of 2025-10).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// Every IPv4 range that is no ordinary public host, also the ones that are
/// reachable (anycast relays): no provider's API lives there.
const IPV4_SPECIAL: [Ipv4Net; 19] = [
    v4(0, 0, 0, 0, 8),          // this network, RFC 791
    v4(10, 0, 0, 0, 8),         // private, RFC 1918
    v4(100, 64, 0, 0, 10),      // carrier NAT, RFC 6598
    v4(127, 0, 0, 0, 8),        // loopback, RFC 1122
    v4(169, 254, 0, 0, 16),     // link local, cloud metadata, RFC 3927
    v4(172, 16, 0, 0, 12),      // private, RFC 1918
    v4(192, 0, 0, 0, 24),       // IETF protocol assignments, RFC 6890
    v4(192, 0, 2, 0, 24),       // documentation, RFC 5737
    v4(192, 31, 196, 0, 24),    // AS112, RFC 7535
    v4(192, 52, 193, 0, 24),    // AMT, RFC 7450
    v4(192, 88, 99, 0, 24),     // 6to4 relay, RFC 7526
    v4(192, 168, 0, 0, 16),     // private, RFC 1918
    v4(192, 175, 48, 0, 24),    // AS112, RFC 7534
    v4(198, 18, 0, 0, 15),      // benchmarking, RFC 2544
    v4(198, 51, 100, 0, 24),    // documentation, RFC 5737
    v4(203, 0, 113, 0, 24),     // documentation, RFC 5737
    v4(224, 0, 0, 0, 4),        // multicast, RFC 5771
    v4(240, 0, 0, 0, 4),        // reserved, RFC 1112
    v4(255, 255, 255, 255, 32), // broadcast, RFC 919
];

/// The only IPv6 space that IANA has given out for unicast, RFC 4291.
const IPV6_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Ranges inside it that are no ordinary public host. Several of them carry an
/// IPv4 address inside (Teredo, 6to4) and would lead around the IPv4 table.
const IPV6_SPECIAL: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 23), // IETF protocol assignments with Teredo, ORCHID, benchmarking, RFC 2928
    v6(0x2001, 0xdb8, 0, 32), // documentation, RFC 3849
    v6(0x2002, 0, 0, 16), // 6to4, RFC 3056
    v6(0x2620, 0x4f, 0x8000, 48), // AS112, RFC 7534
    v6(0x3fff, 0, 0, 20), // documentation, RFC 9637
];

/// Whether an address belongs to an ordinary host on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !IPV4_SPECIAL.iter().any(|range| range.contains(&address)),
        IpAddr::V6(address) => {
            IPV6_UNICAST.contains(&address)
                && !IPV6_SPECIAL.iter().any(|range| range.contains(&address))
        }
    }
}

/// Something an operator allows although it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every address of a subnet: `10.20.0.0/16`, `fd00::/8`, `127.0.0.1`.
    Subnet(IpNet),
    /// A host by its name, wherever it resolves to: `erp.internal`.
    Host(String),
}

/// A text that names neither a subnet nor a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a subnet (10.20.0.0/16), an address (127.0.0.1) nor a host name (erp.internal)"
)]
pub struct InvalidAllowed(pub String);

impl FromStr for Allowed {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        let text = text.trim();
        if let Ok(subnet) = text.parse::<IpNet>() {
            return Ok(Self::Subnet(subnet.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Subnet(IpNet::from(address)));
        }
        let is_host = !text.is_empty()
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            })
            // `10.1.2` and `300.1.1.1` are addresses gone wrong, not names.
            && !text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_host {
            Ok(Self::Host(text.to_ascii_lowercase()))
        } else {
            Err(InvalidAllowed(text.to_owned()))
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subnet(subnet) => subnet.fmt(f),
            Self::Host(host) => host.fmt(f),
        }
    }
}

/// Public addresses, and what the operator allows on top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Own subnets and hosts.
    pub allow: Vec<Allowed>,
}

impl AddressPolicy {
    /// Whether a host of this name (or literal address) may be reached at this address.
    #[must_use]
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        is_public(address)
            || self.allow.iter().any(|allowed| match allowed {
                // `::ffff:127.0.0.1` is 127.0.0.1 by another spelling.
                Allowed::Subnet(subnet) => {
                    subnet.contains(&address.to_canonical()) || subnet.contains(&address)
                }
                Allowed::Host(name) => name.eq_ignore_ascii_case(host.trim_end_matches('.')),
            })
    }

    /// Whether the operator named this host, or a literal address that is not public.
    #[must_use]
    pub fn names(&self, host: &Host<&str>) -> bool {
        let is_inside = |address: IpAddr| !is_public(address) && self.permits("", address);
        match host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                self.allow.iter().any(|allowed| match allowed {
                    Allowed::Subnet(_) => false,
                    Allowed::Host(host) => host.eq_ignore_ascii_case(name),
                })
            }
            Host::Ipv4(address) => is_inside(IpAddr::V4(*address)),
            Host::Ipv6(address) => is_inside(IpAddr::V6(*address)),
        }
    }

    /// Passes the whole answer of a resolver, or nothing: one bad address among
    /// good ones is how rebinding looks, and which one is tried first is not ours to choose.
    ///
    /// # Errors
    /// The first address that is not permitted.
    pub fn check(&self, host: &str, addresses: &[IpAddr]) -> Result<(), IpAddr> {
        match addresses
            .iter()
            .find(|address| !self.permits(host, **address))
        {
            Some(refused) => Err(*refused),
            None => Ok(()),
        }
    }
}
