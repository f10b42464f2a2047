//! Limits that a person sets for a connection and that are counted in the database: what an
//! action does that is not repeatable counts as one.

use patchbay_core::quota::Limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::{PropertyKind, Schema};

/// Which fields of config hold the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// What is counted, for people: `e-mails`.
    pub unit: String,
    /// Field of the limit within an hour.
    pub per_hour: String,
    /// Field of the limit within a day.
    pub per_day: String,
}

impl Quota {
    /// The limits that a checked config sets.
    #[must_use]
    pub fn limits(&self, config: &Value) -> Limits {
        let limit = |field: &str| {
            let number = config.get(field)?.as_u64()?;
            Some(u32::try_from(number).unwrap_or(u32::MAX))
        };
        Limits {
            hour: limit(&self.per_hour),
            day: limit(&self.per_day),
        }
    }

    /// What is wrong with the declaration.
    pub(super) fn problem(&self, schema: &Schema) -> Option<String> {
        let is_limit = |field: &&String| {
            let property = schema.properties.get(*field);
            property.is_some_and(|it| it.kind == PropertyKind::Integer && it.minimum >= Some(1))
        };
        let fields = [&self.per_hour, &self.per_day];
        let wrong = fields.iter().find(|field| !is_limit(field))?;
        Some(format!(
            "quota: field `{wrong}` is no whole number of at least 1"
        ))
    }
}
