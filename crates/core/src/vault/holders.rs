//! Who holds which keys: what live processes tell of their keyrings, and what follows
//! for promoting and retiring a key.
//!
//! A fleet may have several copies of the keyring file. Nothing here looks into files:
//! a key counts as known where a live process says that it holds it.

use serde::{Deserialize, Serialize};

use super::keyring::KeyState;
use crate::ids::ProcessId;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySort {
    /// Wraps the data keys of orgs.
    Wrapping,
    /// Opens what the API seals to its public half.
    Sealing,
}

/// A key as a process tells of it: never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldKey {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub sort: KeySort,
    /// What the process may do with it. An API process, which has only the public half of
    /// its sealing key, calls it primary.
    pub state: KeyState,
    /// The first 64 bits of a hash of it (of a sealing key: of its public half).
    pub fingerprint: String,
}

impl HeldKey {
    /// Whether it is the same key, whatever its state.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (&self.id, self.sort, &self.fingerprint) == (&other.id, other.sort, &other.fingerprint)
    }

    /// Its name and fingerprint, as the deployment's row keeps them.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.id, self.fingerprint)
    }
}

/// What a process does with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Seals to a public key; opens nothing.
    Seals,
    /// Holds a keyring.
    Opens,
}

/// A live process that uses keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its id.
    pub process: ProcessId,
    /// `api`, `worker` or `up`.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// Where it runs.
    pub host: String,
    /// What it does with keys.
    pub role: Role,
    /// `None`: it has not told yet.
    pub keys: Option<Vec<HeldKey>>,
}

impl Holder {
    /// The key as this process has it.
    #[must_use]
    pub fn holds(&self, key: &HeldKey) -> Option<&HeldKey> {
        self.keys.iter().flatten().find(|held| held.is(key))
    }

    fn opens(&self, key: &HeldKey) -> bool {
        self.holds(key).is_some_and(|held| held.state.opens())
    }
}

/// The promotion barrier: those who hold a keyring and could not open what this key closes.
#[must_use]
pub fn lacking<'a>(holders: &'a [Holder], key: &HeldKey) -> Vec<&'a Holder> {
    holders
        .iter()
        .filter(|holder| holder.role == Role::Opens && !holder.opens(key))
        .collect()
}

/// The retire gate's other half: those who still close with this key, or have not told.
#[must_use]
pub fn closing_with<'a>(holders: &'a [Holder], key: &HeldKey) -> Vec<&'a Holder> {
    let closes = |holder: &&Holder| match (&holder.keys, key.sort, holder.role) {
        // Only who holds a keyring wraps data keys.
        (_, KeySort::Wrapping, Role::Seals) => false,
        (None, KeySort::Wrapping, Role::Opens) | (None, KeySort::Sealing, _) => true,
        (Some(_), KeySort::Wrapping, Role::Opens) | (Some(_), KeySort::Sealing, _) => holder
            .holds(key)
            .is_some_and(|held| held.state == KeyState::Primary),
    };
    holders.iter().filter(closes).collect()
}
