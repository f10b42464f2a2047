//! Stock: one count for each variation, location and state, walked by time of change.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::Bytes;

use crate::clock::rfc3339;
use crate::square::cursor::Place;
use crate::square::shapes::InventoryCount;

/// Square's `InventoryState`.
pub(crate) const STATES: [&str; 17] = [
    "CUSTOM",
    "IN_STOCK",
    "SOLD",
    "RETURNED_BY_CUSTOMER",
    "RESERVED_FOR_SALE",
    "SOLD_ONLINE",
    "ORDERED_FROM_VENDOR",
    "RECEIVED_FROM_VENDOR",
    "IN_TRANSIT_TO",
    "NONE",
    "WASTE",
    "UNLINKED_RETURN",
    "COMPOSED",
    "DECOMPOSED",
    "SUPPORTED_BY_NEWER_VERSION",
    "IN_TRANSIT",
    "UNTRACKED",
];

#[derive(Debug)]
pub(crate) struct CountRow {
    pub object_id: Arc<str>,
    pub location: usize,
    pub state: &'static str,
    pub calculated_at: i64,
    pub json: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    rows: Vec<CountRow>,
    by_object: HashMap<(Arc<str>, usize), u32>,
    by_time: BTreeSet<(i64, u32)>,
}

impl Inventory {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Sets what is in stock of a variation at a location.
    pub fn set(&mut self, object_id: &str, location: (usize, &str), quantity: i64, at: i64) {
        let json = serde_json::to_vec(&InventoryCount {
            catalog_object_id: object_id,
            catalog_object_type: "ITEM_VARIATION",
            state: "IN_STOCK",
            location_id: location.1,
            quantity: &quantity.to_string(),
            calculated_at: &rfc3339(at),
            is_estimated: false,
        })
        .expect("shapes serialize into memory");
        let object_id: Arc<str> = object_id.into();
        let count = CountRow {
            object_id: Arc::clone(&object_id),
            location: location.0,
            state: "IN_STOCK",
            calculated_at: at,
            json: Bytes::from(json),
        };
        let key = (object_id, location.0);
        if let Some(&row) = self.by_object.get(&key) {
            let old = std::mem::replace(&mut self.rows[row as usize], count);
            self.by_time.remove(&(old.calculated_at, row));
            self.by_time.insert((at, row));
        } else {
            let row = u32::try_from(self.rows.len()).expect("fewer than 4 billion counts");
            self.by_object.insert(key, row);
            self.by_time.insert((at, row));
            self.rows.push(count);
        }
    }

    /// Rows calculated after `since`, latest first, going on after `after`.
    pub fn walk(
        &self,
        since: Option<i64>,
        after: Option<Place>,
    ) -> impl Iterator<Item = (Place, &CountRow)> + '_ {
        let newest = after.map_or((i64::MAX, u32::MAX), |Place { key, row }| (key, row));
        let since = since.unwrap_or(i64::MIN);
        self.by_time
            .range(..newest)
            .rev()
            .take_while(move |(at, _)| *at > since)
            .map(|&(key, row)| (Place { key, row }, &self.rows[row as usize]))
    }
}
