//! The words for a connection's state.

use std::collections::BTreeMap;

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// Where a connection stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// Made, not yet tested with success. Editable, pruned after a day.
    Pending,
    /// Works.
    Active,
    /// The credential was refused and is no consent: set a new one.
    Error,
    /// The consent has ended: connect again.
    Expired,
    /// Switched off by a person.
    Disabled,
    /// Credential gone; records stay.
    Disconnected,
}

/// Capabilities that do not work for want of scopes, each with the scopes it lacks.
pub type Shortfall = BTreeMap<String, Vec<String>>;

/// Where a credential came from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum CredentialOrigin {
    /// A person gave it.
    Secret,
    /// The provider granted it to a consent (OAuth).
    Consent,
}

/// Health shown to people.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Health {
    /// Never checked.
    Unknown,
    /// The last checks passed.
    Healthy,
    /// Some checks fail, or the granted scopes are fewer than wanted.
    Degraded,
    /// Checks fail.
    Failing,
}

/// What a key may do. Each role may do what the next one may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Role {
    /// Everything, keys included.
    Owner,
    /// Connects, changes and disconnects.
    Admin,
    /// Starts syncs, tests and actions.
    Member,
    /// Reads.
    Viewer,
}

impl Role {
    /// Whether a key with this role may do what `needed` may.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self.rank() >= needed.rank()
    }

    fn rank(self) -> u8 {
        match self {
            Self::Owner => 3,
            Self::Admin => 2,
            Self::Member => 1,
            Self::Viewer => 0,
        }
    }
}
