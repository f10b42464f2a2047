//! Progress of a job as state, not delta: what a subscriber needs to draw it,
//! whole, whenever it looks. Only what is committed is shown.

use serde::{Deserialize, Serialize};

/// The present picture of a running job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, in words: `fetching catalog`.
    pub stage: String,
    /// Units done and committed. Never goes back within a job.
    pub done: u64,
    /// Units in all, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is counted, as the stream's manifest says: `orders`.
    pub unit: String,
    /// Units a second over the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Of `done`: changed, unchanged and so on, by name.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub counts: std::collections::BTreeMap<String, u64>,
}
