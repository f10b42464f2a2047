//! A walk over a provider's pages, as a value that survives a crash. It ends with an
//! error where a provider's cursors lead in circles, instead of never.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::{error::ProviderError, provider::PulledRecord};

/// Pages of one walk; ten million records at the smallest page size in use.
const MOST_PAGES: u64 = 100_000;

/// Pages in a row that may hold nothing and yet say there is more.
const MOST_EMPTY: u64 = 50;

/// Where a walk stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// The provider's cursor of the next page; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    pages: u64,
    empty: u64,
    /// Fingerprint of an earlier page (Brent's cycle detection: it is renewed at
    /// every power of two, so a circle of any length is met again).
    mark: u64,
}

impl Walk {
    /// The walk after a page: `Some` where to go on, `None` at the end.
    ///
    /// # Errors
    /// The same cursor or the same page came again, or there is no end in sight.
    pub fn after(
        mut self,
        records: &[PulledRecord],
        next: Option<String>,
    ) -> Result<Option<Self>, ProviderError> {
        let Some(next) = next.filter(|cursor| !cursor.is_empty()) else {
            return Ok(None);
        };
        if self.cursor.as_deref() == Some(next.as_str()) {
            return Err(circle("the cursor it was asked with"));
        }
        self.pages += 1;
        self.empty = if records.is_empty() {
            self.empty + 1
        } else {
            0
        };
        if self.empty > MOST_EMPTY || self.pages > MOST_PAGES {
            return Err(circle("cursor after cursor without coming to an end"));
        }
        if !records.is_empty() {
            let print = fingerprint(records);
            if self.mark == print {
                return Err(circle("a page it has already given"));
            }
            if self.mark == 0 || self.pages.is_power_of_two() {
                self.mark = print;
            }
        }
        self.cursor = Some(next);
        Ok(Some(self))
    }
}

fn circle(what: &str) -> ProviderError {
    ProviderError::protocol(format!(
        "The provider's pages lead in a circle: it answered with {what}."
    ))
}

fn fingerprint(records: &[PulledRecord]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for record in records {
        (&record.external_id, record.source_version, record.deleted).hash(&mut hasher);
    }
    // Positions are JSON: numbers above 2^53 would not survive every reader. 0 means "none yet".
    (hasher.finish() >> 12).max(1)
}
