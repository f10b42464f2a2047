//! Customers, walked by creation and by change.

use std::collections::{BTreeSet, HashMap};

use axum::body::Bytes;

use crate::square::cursor::Place;
use crate::square::shapes::Customer;

#[derive(Debug)]
pub(crate) struct CustomerRow {
    pub id: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub email: Option<String>,
    pub reference_id: Option<String>,
    pub json: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Customers {
    rows: Vec<CustomerRow>,
    by_id: HashMap<String, u32>,
    by_created: BTreeSet<(i64, u32)>,
}

impl Customers {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn row_of(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub fn get(&self, row: u32) -> Option<&CustomerRow> {
        self.rows.get(row as usize)
    }

    pub fn add(&mut self, customer: &Customer, created_at: i64, updated_at: i64) {
        let row = u32::try_from(self.rows.len()).expect("fewer than 4 billion customers");
        self.by_id.insert(customer.id.clone(), row);
        self.by_created.insert((created_at, row));
        self.rows.push(CustomerRow {
            id: customer.id.clone(),
            created_at,
            updated_at,
            email: customer.email_address.clone(),
            reference_id: customer.reference_id.clone(),
            json: Bytes::from(serde_json::to_vec(customer).expect("shapes serialize into memory")),
        });
    }

    /// A new note, the next version.
    pub fn change(&mut self, row: u32, stamp: i64) {
        let Some(customer) = self.rows.get_mut(row as usize) else {
            return;
        };
        let mut json: serde_json::Value =
            serde_json::from_slice(&customer.json).expect("rendered by this module");
        let version = json["version"].as_i64().unwrap_or_default() + 1;
        json["version"] = version.into();
        json["updated_at"] = crate::clock::rfc3339(stamp).into();
        json["note"] = format!("Called us, note {version}").into();
        customer.updated_at = stamp;
        customer.json = Bytes::from(json.to_string());
    }

    /// Rows after `after`, by creation.
    pub fn walk(
        &self,
        descending: bool,
        after: Option<Place>,
    ) -> Box<dyn Iterator<Item = (Place, &CustomerRow)> + '_> {
        use std::ops::Bound::{Excluded, Unbounded};
        let to_row = |&(key, row): &(i64, u32)| (Place { key, row }, &self.rows[row as usize]);
        let after = after.map(|Place { key, row }| (key, row));
        match (descending, after) {
            (false, None) => Box::new(self.by_created.iter().map(to_row)),
            (false, Some(at)) => {
                Box::new(self.by_created.range((Excluded(at), Unbounded)).map(to_row))
            }
            (true, None) => Box::new(self.by_created.iter().rev().map(to_row)),
            (true, Some(at)) => Box::new(self.by_created.range(..at).rev().map(to_row)),
        }
    }
}
