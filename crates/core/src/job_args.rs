//! Arguments of jobs, as the API writes them and the worker reads them. Never secret:
//! secrets travel in the job's `sealed` column.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Arguments of `connection_test`: tries a candidate; if it works it becomes current.
/// A new credential is in the job's sealed arguments; without one the present
/// credential is tried with the candidate config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionTestArgs {
    /// The config to try.
    pub config: Value,
}

/// Arguments of `health_check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckArgs {
    /// Who wants to know: `manual`, `scheduled` or `auto`.
    pub reason: CheckReason,
}

/// Who wants to know how a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckReason {
    /// A person.
    Manual,
    /// The clock.
    Scheduled,
    /// The product, after a failure.
    Auto,
}

impl CheckReason {
    /// The name in the health log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Auto => "auto",
        }
    }
}
