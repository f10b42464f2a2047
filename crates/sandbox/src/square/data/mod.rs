//! What a merchant of the stand-in has: locations, catalog, orders, customers, stock.
//!
//! Every row is rendered to JSON once, when it is made or changed; a page is a
//! concatenation. Walks go over ordered indexes, so a page costs its own length: 200,000
//! catalog objects are served at the speed of copying. Nothing here knows HTTP.

mod catalog;
mod changes;
mod csv;
mod csv_orders;
mod customers;
mod inventory;
mod order_draft;
mod orders;
mod seeded;
mod seeded_catalog;
mod seeded_orders;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

use super::shapes::{Location, LocationAddress};
use crate::clock::rfc3339;
pub(crate) use catalog::{Catalog, ObjectKind};
pub use changes::{Change, ChangeKind};
pub use csv::CsvError;
pub(crate) use customers::Customers;
pub(crate) use inventory::{Inventory, STATES};
pub(crate) use orders::{OrderState, Orders, TimeField};
pub use seeded::Sizes;

/// All data of one merchant.
#[derive(Debug)]
pub struct Dataset {
    pub(crate) business_name: String,
    pub(crate) country: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) locations: Vec<Location>,
    pub(crate) catalog: Catalog,
    pub(crate) orders: Orders,
    pub(crate) customers: Customers,
    pub(crate) inventory: Inventory,
    /// Milliseconds of the latest change; the next one is later.
    stamp: i64,
    rng: Xoshiro256PlusPlus,
    serial: u64,
}

/// What is in a dataset, in figures.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub locations: usize,
    /// Not deleted.
    pub items: usize,
    pub deleted_items: usize,
    /// Not deleted, of every type.
    pub catalog_objects: usize,
    pub orders: usize,
    /// Orders that hold returns.
    pub returning_orders: usize,
    pub customers: usize,
    pub inventory_counts: usize,
    pub currency: &'static str,
    /// Minor units: totals of all orders less their returned amounts.
    pub net_total: i64,
}

impl Dataset {
    fn empty(
        business_name: &str,
        country: &'static str,
        currency: &'static str,
        seed: u64,
    ) -> Self {
        Self {
            business_name: business_name.to_owned(),
            country,
            currency,
            locations: Vec::new(),
            catalog: Catalog::default(),
            orders: Orders::default(),
            customers: Customers::default(),
            inventory: Inventory::default(),
            stamp: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            serial: 0,
        }
    }

    /// Figures to compare a client's result with.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            locations: self.locations.len(),
            items: self.catalog.count(ObjectKind::Item),
            deleted_items: self.catalog.count_deleted(ObjectKind::Item),
            catalog_objects: self.catalog.count_all(),
            orders: self.orders.len(),
            returning_orders: self.orders.returning(),
            customers: self.customers.len(),
            inventory_counts: self.inventory.len(),
            currency: self.currency,
            net_total: self.orders.net_total(),
        }
    }

    /// Now, or the latest change where that is later: changes are stamped apart also
    /// while the clock stands still.
    pub(crate) fn latest(&self, now_ms: i64) -> i64 {
        now_ms.max(self.stamp)
    }

    pub(crate) fn add_location(
        &mut self,
        name: &str,
        locality: &str,
        timezone: &'static str,
        status: &'static str,
        created: i64,
    ) {
        self.locations.push(Location {
            id: derive_id("location", &format!("{}/{name}", self.business_name), 13),
            name: name.to_owned(),
            business_name: self.business_name.clone(),
            status,
            timezone,
            currency: self.currency,
            country: self.country,
            merchant_id: String::new(),
            kind: "PHYSICAL",
            address: LocationAddress {
                locality: locality.to_owned(),
                country: self.country,
            },
            capabilities: ["CREDIT_CARD_PROCESSING"],
            created_at: rfc3339(created),
        });
    }

    /// The dataset belongs to one merchant, named in its locations.
    pub(crate) fn assign(&mut self, merchant_id: &str) {
        for location in &mut self.locations {
            merchant_id.clone_into(&mut location.merchant_id);
        }
    }
}

/// An id as Square makes them: capitals and digits, opaque, the same for the same source.
pub(crate) fn derive_id(kind: &str, source: &str, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(source)
        .finalize();
    digest
        .iter()
        .take(length)
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}
