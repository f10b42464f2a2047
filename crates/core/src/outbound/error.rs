//! Why a request abroad brought no answer. Messages name the origin only: paths
//! and queries may carry secrets.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::Origin;
use crate::breaker::Held;

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Resolving, connecting, TLS.
    Connect,
    /// From the request to the head of the answer.
    Header,
    /// The whole exchange with its body.
    Total,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connection",
            Self::Header => "answer",
            Self::Total => "complete answer",
        })
    }
}

/// What became of a request that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address policy refused the target; nothing was sent.
    #[error(
        "{origin} leads to {address}, which is not a public address; allow its subnet or host to reach it"
    )]
    Blocked {
        /// Where to.
        origin: Origin,
        /// The address it leads to.
        address: IpAddr,
    },
    /// The credential may not go to this host; nothing was sent.
    #[error("the credential of this provider may not be sent to {origin}")]
    ForeignHost {
        /// Where to.
        origin: Origin,
    },
    /// The address is no `http` or `https` address with a host, or a header is malformed.
    #[error("not a request that can be sent: {0}")]
    Malformed(String),
    /// A deadline passed.
    #[error("no {stage} from {origin} within {limit:?}")]
    Timeout {
        /// Where to.
        origin: Origin,
        /// Which deadline.
        stage: Stage,
        /// How long it was.
        limit: Duration,
    },
    /// The body is longer than the cap.
    #[error("the answer of {origin} is longer than the {limit} bytes allowed")]
    TooLarge {
        /// Where to.
        origin: Origin,
        /// The cap in bytes.
        limit: u64,
    },
    /// The name does not resolve.
    #[error("the name of {origin} does not resolve: {reason}")]
    Dns {
        /// Where to.
        origin: Origin,
        /// In words.
        reason: String,
    },
    /// No connection.
    #[error("{origin} cannot be reached: {reason}")]
    Connect {
        /// Where to.
        origin: Origin,
        /// In words.
        reason: String,
    },
    /// The TLS handshake failed.
    #[error("no trusted TLS connection to {origin}: {reason}")]
    Tls {
        /// Where to.
        origin: Origin,
        /// In words.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the connection to {origin} ended before the answer was complete: {reason}")]
    Broken {
        /// Where to.
        origin: Origin,
        /// In words.
        reason: String,
    },
    /// The provider's host does not answer for a while; nothing was sent.
    #[error(
        "{label} does not answer since {} UTC ({}); it is tried again at {} UTC",
        held.since.format("%Y-%m-%d %H:%M:%S"), held.reason, held.until.format("%H:%M:%S")
    )]
    Paused {
        /// The provider's name.
        label: Arc<str>,
        /// Since when, why, until when.
        held: Held,
    },
    /// The client could not be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

impl OutboundError {
    /// Whether it is certain that the target saw nothing of the request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Blocked { .. }
            | Self::ForeignHost { .. }
            | Self::Malformed(_)
            | Self::Setup(_)
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Paused { .. }
            | Self::Tls { .. } => true,
            Self::Timeout { stage, .. } => *stage == Stage::Connect,
            Self::Broken { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the host, or the way to it, is at fault. An answer that breaks a rule of ours
    /// is not: the host is there.
    #[must_use]
    pub fn is_the_hosts(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Broken { .. } => true,
            Self::Blocked { .. }
            | Self::ForeignHost { .. }
            | Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::Paused { .. }
            | Self::Setup(_) => false,
        }
    }

    /// Whether the same request may fare better in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Broken { .. } => true,
            Self::Blocked { .. }
            | Self::ForeignHost { .. }
            | Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::Tls { .. }
            | Self::Paused { .. }
            | Self::Setup(_) => false,
        }
    }
}
