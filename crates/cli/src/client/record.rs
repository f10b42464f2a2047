//! Records as the API shows them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

/// What people see of a record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Record {
    pub external_id: String,
    pub kind: String,
    pub data: Value,
    pub last_changed: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
}
