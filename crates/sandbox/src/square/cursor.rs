//! Cursors: opaque, and good for the query they came from only.
//!
//! A cursor is a place in an ordered walk plus an authentication tag over merchant,
//! endpoint and query, so a forged cursor, or one carried over to another query, is
//! refused as Square refuses it (400 INVALID_CURSOR). The place is a key, not an offset:
//! a page costs its own length however deep it lies, and rows that arrive meanwhile
//! shift nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use super::errors::SquareError;
use crate::faults::Quirks;

/// The row a page ended with: its sort key and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub key: i64,
    pub row: u32,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Start {
    /// The row that the page before ended with.
    pub after: Option<Place>,
    /// Of a walk that ends at the time of its first request: that time, in milliseconds.
    pub until: Option<i64>,
}

const TAG: usize = 12;
const START: usize = 1 + 8 + 4 + 8 + 4;
const HAS_PLACE: u8 = 1;
const HAS_UNTIL: u8 = 2;

/// What a cursor is bound to.
#[derive(Debug)]
pub(crate) struct Binding {
    key: Vec<u8>,
}

impl Binding {
    /// `query` is the request without its cursor.
    pub fn new<Q: Serialize>(merchant_id: &str, endpoint: &str, query: &Q) -> Self {
        let query = serde_json::to_string(query).expect("request shapes have string keys only");
        Self {
            key: format!("{merchant_id}\n{endpoint}\n{query}").into_bytes(),
        }
    }

    fn tag(&self, place: &[u8]) -> [u8; TAG] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key length");
        mac.update(place);
        let full = mac.finalize().into_bytes();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&full[..TAG]);
        tag
    }

    fn encode(&self, start: Start, nonce: u32) -> String {
        let mut bytes = Vec::with_capacity(START + TAG);
        let has = |held: bool, flag: u8| if held { flag } else { 0 };
        bytes.push(has(start.after.is_some(), HAS_PLACE) | has(start.until.is_some(), HAS_UNTIL));
        let Place { key, row } = start.after.unwrap_or(Place { key: 0, row: 0 });
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&row.to_be_bytes());
        bytes.extend_from_slice(&start.until.unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(&nonce.to_be_bytes());
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where to go on; no cursor, or an empty one, means from the start.
    ///
    /// # Errors
    /// 400 INVALID_CURSOR for anything this query did not hand out.
    pub fn decode(&self, cursor: Option<&str>) -> Result<Start, SquareError> {
        let Some(cursor) = cursor.filter(|text| !text.is_empty()) else {
            return Ok(Start::default());
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let genuine = bytes.filter(|bytes| {
            bytes.len() == START + TAG && self.tag(&bytes[..START]) == bytes[START..]
        });
        genuine.and_then(|bytes| unpack(&bytes)).ok_or_else(|| {
            SquareError::invalid(
                "INVALID_CURSOR",
                "The cursor is not valid for this request. Repeat the query that returned it \
                 unchanged.",
            )
            .field("cursor")
        })
    }
}

fn unpack(bytes: &[u8]) -> Option<Start> {
    let (flags, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_first_chunk()?;
    let (row, rest) = rest.split_first_chunk()?;
    let (until, _nonce) = rest.split_first_chunk()?;
    let place = Place {
        key: i64::from_be_bytes(*key),
        row: u32::from_be_bytes(*row),
    };
    Some(Start {
        after: (flags & HAS_PLACE != 0).then_some(place),
        until: (flags & HAS_UNTIL != 0).then(|| i64::from_be_bytes(*until)),
    })
}

/// One page of a walk and the cursor to the next.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub rows: Vec<T>,
    pub cursor: Option<String>,
}

/// Takes one page off `rows`, which begin after `start` in the order of the walk.
pub(crate) fn page<T>(
    binding: &Binding,
    start: Start,
    limit: usize,
    quirks: Quirks,
    mut rows: impl Iterator<Item = (Place, T)>,
) -> Page<T> {
    let mut taken = Vec::with_capacity(limit.min(1000));
    let mut places = Vec::with_capacity(limit.min(1000));
    for (place, row) in rows.by_ref().take(limit) {
        places.push(place);
        taken.push(row);
    }
    let more = rows.next().is_some();
    let cursor = if more {
        // A page of one cannot repeat itself: the walk would stand still.
        let back = if quirks.repeat_across_pages {
            3.min(places.len().saturating_sub(1))
        } else {
            0
        };
        places.get(places.len() - 1 - back).map(|place| {
            let after = Some(*place);
            binding.encode(Start { after, ..start }, 0)
        })
    } else {
        quirks
            .endless_cursor
            .map(|nonce| binding.encode(start, nonce))
    };
    Page {
        rows: taken,
        cursor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(binding: &Binding, total: u32, limit: usize, quirks: Quirks) -> Vec<Vec<u32>> {
        let mut pages = Vec::new();
        let mut cursor = None;
        loop {
            let start = binding.decode(cursor.as_deref()).expect("our own cursor");
            let after = start.after.map_or(0, |place| place.row + 1);
            let rows = (after..total).map(|row| (Place { key: 0, row }, row));
            let page = page(binding, start, limit, quirks, rows);
            pages.push(page.rows);
            cursor = page.cursor;
            if cursor.is_none() || pages.len() == 10 {
                return pages;
            }
        }
    }

    #[test]
    fn a_walk_returns_every_row_once_and_ends_without_a_cursor() {
        let binding = Binding::new("M", "GET /x", &());
        assert_eq!(
            walk(&binding, 5, 2, Quirks::default()),
            [vec![0, 1], vec![2, 3], vec![4]]
        );
        assert_eq!(
            walk(&binding, 4, 2, Quirks::default()),
            [vec![0, 1], vec![2, 3]]
        );
    }

    #[test]
    fn an_endless_cursor_repeats_the_last_page() {
        let binding = Binding::new("M", "GET /x", &());
        let quirks = Quirks {
            endless_cursor: Some(0),
            ..Quirks::default()
        };
        let pages = walk(&binding, 3, 2, quirks);
        assert_eq!(pages.len(), 10);
        assert!(pages[1..].iter().all(|page| page == &[2]));
    }

    #[test]
    fn repeated_rows_still_reach_the_end() {
        let binding = Binding::new("M", "GET /x", &());
        let quirks = Quirks {
            repeat_across_pages: true,
            ..Quirks::default()
        };
        assert_eq!(
            walk(&binding, 7, 5, quirks),
            [vec![0, 1, 2, 3, 4], vec![2, 3, 4, 5, 6]]
        );
    }

    #[test]
    fn a_cursor_of_another_merchant_endpoint_or_query_is_refused() {
        let home = Binding::new("M", "GET /x", &"q");
        let place = Start {
            after: Some(Place { key: 7, row: 9 }),
            until: Some(11),
        };
        let cursor = home.encode(place, 0);
        assert_eq!(home.decode(Some(&cursor)).expect("own"), place);
        for foreign in [
            Binding::new("N", "GET /x", &"q"),
            Binding::new("M", "GET /y", &"q"),
            Binding::new("M", "GET /x", &"r"),
        ] {
            assert!(foreign.decode(Some(&cursor)).is_err());
        }
        assert!(home.decode(Some("bm90IG91cnM")).is_err());
        assert!(home.decode(Some("%%%")).is_err());
    }
}
