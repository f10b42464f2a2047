//! Typed ids. All are UUIDv7 (RFC 9562), so they sort by the time they were made.

use std::{fmt, str::FromStr};

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;

/// A text that is no id of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: expected a UUID such as 019ab2c3-7d4e-7f00-8000-000000000000")]
pub struct InvalidId(pub String);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id that carries the clock's present time.
            #[must_use]
            pub fn new(clock: &dyn Clock) -> Self {
                Self(new_uuid(clock))
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId(text.to_owned()))
            }
        }
    )+};
}

ids! {
    /// An organization, the tenant.
    OrgId,
    /// One org's account at a provider.
    ConnectionId,
    /// One version of a connection's secret material.
    CredentialId,
    /// One durable piece of work.
    JobId,
    /// One run of a process of ours.
    ProcessId,
    /// A line of the activity log.
    EventId,
    /// An API key (its row, not its secret).
    ApiKeyId,
    /// One line of the health log.
    HealthCheckId,
    /// The deployment itself.
    DeploymentId,
    /// One consent, from its request to its end.
    ConsentId,
    /// An org's own OAuth client at a provider.
    OauthClientId,
    /// When the clock asks for a sync.
    ScheduleId,
    /// An alert.
    AlertId,
    /// Where an org is told of alerts.
    AlertChannelId,
    /// The wrapped data key of an org.
    OrgKeyId,
}

impl OrgId {
    /// Whose turn a job without an org has in the fair ring.
    pub const DEPLOYMENT: Self = Self(Uuid::nil());
}

fn new_uuid(clock: &dyn Clock) -> Uuid {
    let now = clock.now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(
        uuid::timestamp::context::ContextV7::new(),
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}
