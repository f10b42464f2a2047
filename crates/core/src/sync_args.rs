//! Arguments of a `sync` job, as the API and the schedulers write them and the worker
//! reads them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How much of a stream a sync asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum PullMode {
    /// What changed since the stream's cursor; everything where there is none.
    Incremental,
    /// What the provider dates within these times (start inclusive, end exclusive).
    Range {
        /// From, inclusive.
        from: DateTime<Utc>,
        /// To, exclusive.
        to: DateTime<Utc>,
    },
    /// Everything, a new generation.
    Full,
}

/// Which stream, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncArgs {
    /// Key of the stream.
    pub stream: String,
    /// How much of it.
    pub pull: PullMode,
}
