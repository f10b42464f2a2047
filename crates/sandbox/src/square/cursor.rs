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

const TAG: usize = 12;
const PLACE: usize = 1 + 8 + 4 + 4;

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

    fn encode(&self, place: Option<Place>, nonce: u32) -> String {
        let mut bytes = Vec::with_capacity(PLACE + TAG);
        bytes.push(u8::from(place.is_some()));
        let Place { key, row } = place.unwrap_or(Place { key: 0, row: 0 });
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&row.to_be_bytes());
        bytes.extend_from_slice(&nonce.to_be_bytes());
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place to go on from; no cursor, or an empty one, means from the start.
    ///
    /// # Errors
    /// 400 INVALID_CURSOR for anything this query did not hand out.
    pub fn decode(&self, cursor: Option<&str>) -> Result<Option<Place>, SquareError> {
        let Some(cursor) = cursor.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let refused = || {
            SquareError::invalid(
                "INVALID_CURSOR",
                "The cursor is not valid for this request. Repeat the query that returned it unchanged.",
            )
            .field("cursor")
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        if bytes.len() != PLACE + TAG || self.tag(&bytes[..PLACE]) != bytes[PLACE..] {
            return Err(refused());
        }
        if bytes[0] == 0 {
            return Ok(None);
        }
        let key = i64::from_be_bytes(bytes[1..9].try_into().map_err(|_| refused())?);
        let row = u32::from_be_bytes(bytes[9..13].try_into().map_err(|_| refused())?);
        Ok(Some(Place { key, row }))
    }
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
    start: Option<Place>,
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
        places
            .get(places.len() - 1 - back)
            .map(|place| binding.encode(Some(*place), 0))
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
            let after = start.map_or(0, |place| place.row + 1);
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
        let cursor = home.encode(Some(Place { key: 7, row: 9 }), 0);
        assert_eq!(
            home.decode(Some(&cursor)).expect("own"),
            Some(Place { key: 7, row: 9 })
        );
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
