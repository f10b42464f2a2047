//! Orders: found by id, walked by each of Square's three times.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};

use super::derive_id;
use crate::square::cursor::Place;
use crate::square::shapes::Order;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum OrderState {
    Open,
    Completed,
    Canceled,
    Draft,
}

impl OrderState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
            Self::Draft => "DRAFT",
        }
    }
}

/// The times an order can be searched and sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TimeField {
    #[serde(rename = "CREATED_AT")]
    Created,
    #[serde(rename = "UPDATED_AT")]
    Updated,
    #[serde(rename = "CLOSED_AT")]
    Closed,
}

#[derive(Debug)]
pub(crate) struct OrderRow {
    pub id: Arc<str>,
    /// Index into the dataset's locations.
    pub location: usize,
    pub state: OrderState,
    pub version: i32,
    pub updated_at: i64,
    pub closed_at: Option<i64>,
    pub customer_id: Option<Arc<str>>,
    pub source: &'static str,
    pub total: i64,
    pub has_returns: bool,
    pub returned: i64,
    pub json: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Orders {
    rows: Vec<OrderRow>,
    by_id: HashMap<Arc<str>, u32>,
    by_created: BTreeSet<(i64, u32)>,
    by_updated: BTreeSet<(i64, u32)>,
    by_closed: BTreeSet<(i64, u32)>,
}

/// Times of an order in milliseconds, beside their text in the shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrderTimes {
    pub created: i64,
    pub updated: i64,
    pub closed: Option<i64>,
}

impl Orders {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn find(&self, id: &str) -> Option<&OrderRow> {
        self.by_id
            .get(id)
            .and_then(|row| self.rows.get(*row as usize))
    }

    pub fn row_of(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub fn get(&self, row: u32) -> Option<&OrderRow> {
        self.rows.get(row as usize)
    }

    pub fn returning(&self) -> usize {
        self.rows.iter().filter(|row| row.has_returns).count()
    }

    pub fn net_total(&self) -> i64 {
        self.rows.iter().map(|row| row.total - row.returned).sum()
    }

    /// Rows of an open order, oldest first.
    pub fn in_state(&self, state: OrderState) -> Vec<u32> {
        (0u32..)
            .zip(&self.rows)
            .filter(|(_, row)| row.state == state)
            .map(|(row, _)| row)
            .collect()
    }

    pub fn add(&mut self, order: &Order, location: usize, state: OrderState, times: OrderTimes) {
        let row = u32::try_from(self.rows.len()).expect("fewer than 4 billion orders");
        let id: Arc<str> = order.id.as_str().into();
        self.by_id.insert(Arc::clone(&id), row);
        self.by_created.insert((times.created, row));
        self.by_updated.insert((times.updated, row));
        if let Some(closed) = times.closed {
            self.by_closed.insert((closed, row));
        }
        self.rows.push(OrderRow {
            id,
            location,
            state,
            version: order.version,
            updated_at: times.updated,
            closed_at: times.closed,
            customer_id: order.customer_id.as_deref().map(Arc::from),
            source: order.source.name,
            total: order.total_money.amount,
            has_returns: !order.returns.is_empty(),
            returned: order
                .return_amounts
                .map_or(0, |amounts| amounts.total_money.amount),
            json: Bytes::from(serde_json::to_vec(order).expect("shapes serialize into memory")),
        });
    }

    /// Closes an open order, or touches one that is closed, in place.
    pub fn change(&mut self, row: u32, stamp: i64, close: Option<OrderState>) {
        let Some(order) = self.rows.get_mut(row as usize) else {
            return;
        };
        let mut json: serde_json::Value =
            serde_json::from_slice(&order.json).expect("rendered by this module");
        self.by_updated.remove(&(order.updated_at, row));
        self.by_updated.insert((stamp, row));
        order.updated_at = stamp;
        order.version += 1;
        json["updated_at"] = crate::clock::rfc3339(stamp).into();
        json["version"] = order.version.into();
        if let Some(state) = close {
            order.state = state;
            order.closed_at = Some(stamp);
            self.by_closed.insert((stamp, row));
            json["state"] = state.name().into();
            json["closed_at"] = crate::clock::rfc3339(stamp).into();
            json["net_amount_due_money"]["amount"] = 0.into();
            json["tenders"] = serde_json::json!([{
                "id": derive_id("tender", &order.id, 24),
                "location_id": json["location_id"],
                "transaction_id": json["id"],
                "created_at": json["closed_at"],
                "amount_money": json["total_money"],
                "type": "CASH",
            }]);
        } else {
            json["ticket_name"] = format!("Ticket {}", order.version).into();
        }
        order.json = Bytes::from(json.to_string());
    }

    /// Rows with `from <= time <= until` after `after`, in the order of `field`.
    pub fn walk(
        &self,
        field: TimeField,
        descending: bool,
        (from, until): (Option<i64>, i64),
        after: Option<Place>,
    ) -> Box<dyn Iterator<Item = (Place, &OrderRow)> + '_> {
        let index = match field {
            TimeField::Created => &self.by_created,
            TimeField::Updated => &self.by_updated,
            TimeField::Closed => &self.by_closed,
        };
        let first = (from.unwrap_or(i64::MIN), 0);
        let last = (until, u32::MAX);
        let (low, high, backwards) = match after.map(|Place { key, row }| (key, row)) {
            None => (Included(first), Included(last), first > last),
            Some(at) if descending => (Included(first), Excluded(at), first > at),
            Some(at) => (Excluded(at), Included(last), at > last),
        };
        // `BTreeSet::range` panics on a range that is the wrong way round.
        if backwards {
            return Box::new(std::iter::empty());
        }
        let to_row = |&(key, row): &(i64, u32)| (Place { key, row }, &self.rows[row as usize]);
        let span = index.range((low, high));
        if descending {
            Box::new(span.rev().map(to_row))
        } else {
            Box::new(span.map(to_row))
        }
    }
}
