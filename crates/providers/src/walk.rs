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

#[cfg(test)]
mod tests {
    use patchbay_core::failure::FailureKind;
    use serde_json::json;

    use super::*;

    fn page(ids: &[u32]) -> Vec<PulledRecord> {
        let record = |id: &u32| PulledRecord {
            external_id: id.to_string(),
            kind: "thing".into(),
            data: json!({}),
            raw: json!({}),
            source_version: Some(1),
            deleted: false,
        };
        ids.iter().map(record).collect()
    }

    /// Pages it took until the walk ended or was stopped, and whether it was stopped.
    fn walk(page_at: impl Fn(u32) -> (Vec<PulledRecord>, Option<String>)) -> (u32, bool) {
        let mut walk = Walk::default();
        for number in 0.. {
            let (records, next) = page_at(number);
            // As it is stored between two pages.
            let text = serde_json::to_string(&walk).expect("a plain value");
            match serde_json::from_str::<Walk>(&text)
                .expect("reads back")
                .after(&records, next)
            {
                Ok(Some(next)) => walk = next,
                Ok(None) => return (number + 1, false),
                Err(error) => {
                    assert_eq!(error.kind, FailureKind::Protocol);
                    return (number + 1, true);
                }
            }
        }
        unreachable!("a walk ends within 2^32 pages")
    }

    fn fresh(number: u32) -> Option<String> {
        Some(format!("c{number}"))
    }

    #[test]
    fn a_walk_ends_where_the_cursors_end() {
        assert_eq!(
            walk(|n| (page(&[n]), (n < 999).then(|| format!("c{n}")))),
            (1000, false)
        );
        assert_eq!(walk(|_| (page(&[]), None)), (1, false));
        assert_eq!(walk(|_| (page(&[1]), Some(String::new()))), (1, false));
    }

    #[test]
    fn the_same_cursor_again_stops_it() {
        assert_eq!(walk(|n| (page(&[n]), Some("same".into()))), (2, true));
    }

    #[test]
    fn circles_of_any_length_behind_fresh_cursors_stop_it() {
        for length in [1, 2, 3, 7, 100] {
            let (pages, stopped) = walk(|n| (page(&[n % length]), fresh(n)));
            assert!(
                stopped && pages <= 4 * length + 2,
                "{pages} pages for a circle of {length}"
            );
            let (pages, stopped) = walk(|n| {
                (
                    page(&[if n < 50 { 1000 + n } else { n % length }]),
                    fresh(n),
                )
            });
            assert!(
                stopped && pages <= 4 * (50 + length),
                "{pages} pages for a tail and a circle of {length}"
            );
        }
    }

    #[test]
    fn empty_pages_are_borne_for_a_while() {
        assert_eq!(
            walk(|n| (page(&[]), (n < 40).then(|| format!("c{n}")))),
            (41, false)
        );
        assert_eq!(walk(|n| (page(&[]), fresh(n))), (51, true));
    }
}
