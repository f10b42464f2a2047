//! A merchant made from a seed: the same seed and sizes give the same bytes.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::catalog::ObjectKind;
use super::seeded_catalog::add_catalog;
use super::seeded_orders::add_orders;
use super::{Dataset, derive_id};
use crate::clock::rfc3339;
use crate::square::shapes::{Customer, CustomerAddress};

pub(super) const CURRENCY: &str = "USD";

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Sizes {
    pub items: u32,
    /// Each item gets one to so many; with 1 exactly one.
    pub max_variations: u32,
    pub categories: u32,
    pub orders: u32,
    pub customers: u32,
    pub locations: u32,
    /// Nothing is later; orders lie in the 90 days before.
    pub as_of: DateTime<Utc>,
}

impl Default for Sizes {
    fn default() -> Self {
        let as_of = Utc.with_ymd_and_hms(2026, 1, 15, 12, 0, 0).single();
        Self {
            items: 500,
            max_variations: 3,
            categories: 12,
            orders: 1000,
            customers: 200,
            locations: 3,
            as_of: as_of.unwrap_or(DateTime::UNIX_EPOCH),
        }
    }
}

const SHOPS: [(&str, &str, &str); 6] = [
    ("Harbour", "Seattle", "America/Los_Angeles"),
    ("Old Town", "Portland", "America/Los_Angeles"),
    ("Market Hall", "Chicago", "America/Chicago"),
    ("Riverside", "New York", "America/New_York"),
    ("Station", "Denver", "America/Denver"),
    ("Garden", "Phoenix", "America/Phoenix"),
];
const GIVEN: [&str; 8] = [
    "Ada", "Grace", "José", "Mei", "Omar", "Ingrid", "Tomás", "Lena",
];
const FAMILY: [&str; 8] = [
    "Okafor", "Nguyen", "Müller", "Silva", "O'Neill", "Sato", "Kowalski", "Haddad",
];

/// Every so many items the stock of one is zero or below, as in real shops.
const STOCK_ABOUT: std::ops::Range<i64> = -3..200;

impl Dataset {
    /// A merchant with so much of everything.
    ///
    /// At least one location, category and variation is made whatever the sizes say.
    #[must_use]
    pub fn seeded(seed: u64, sizes: &Sizes) -> Self {
        let mut data = Self::empty("Corner Goods", "US", CURRENCY, seed);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let end = sizes.as_of.timestamp_millis();
        let begin = end - TimeDelta::days(365).num_milliseconds();
        add_locations(&mut data, sizes, begin);
        add_catalog(&mut data, sizes, (begin, end), seed, &mut rng);
        add_customers(&mut data, sizes, (begin, end), seed, &mut rng);
        add_stock(&mut data, (begin, end), &mut rng);
        add_orders(&mut data, sizes.orders, end, seed, &mut rng);
        data.stamp = end;
        data
    }
}

fn add_locations(data: &mut Dataset, sizes: &Sizes, created: i64) {
    for n in 0..sizes.locations.max(1) as usize {
        let (name, city, zone) = SHOPS[n % SHOPS.len()];
        let round = n / SHOPS.len();
        let name = if round == 0 {
            name.to_owned()
        } else {
            format!("{name} {}", round + 1)
        };
        // From three on, one shop has closed: listed, and its old orders remain.
        let status = if n == 2 { "INACTIVE" } else { "ACTIVE" };
        data.add_location(&name, city, zone, status, created);
    }
}

fn add_customers(
    data: &mut Dataset,
    sizes: &Sizes,
    (begin, end): (i64, i64),
    seed: u64,
    rng: &mut Xoshiro256PlusPlus,
) {
    for n in 0..u64::from(sizes.customers) {
        let created = rng.random_range(begin..end);
        let updated = rng.random_range(created..=end);
        let customer = make_customer(n, seed, (created, updated), rng);
        data.customers.add(&customer, created, updated);
    }
}

pub(super) fn make_customer(
    number: u64,
    seed: u64,
    (created, updated): (i64, i64),
    rng: &mut Xoshiro256PlusPlus,
) -> Customer {
    Customer {
        id: derive_id("customer", &format!("{seed}/{number}"), 26),
        given_name: GIVEN.choose(rng).copied(),
        family_name: FAMILY.choose(rng).copied(),
        company_name: None,
        email_address: (!number.is_multiple_of(5))
            .then(|| format!("customer{number}@example.test")),
        phone_number: (number.is_multiple_of(2)).then(|| format!("+1206555{:04}", number % 10_000)),
        address: Some(CustomerAddress { country: "US" }),
        reference_id: None,
        creation_source: "THIRD_PARTY",
        version: 0,
        created_at: rfc3339(created),
        updated_at: rfc3339(updated),
    }
}

fn add_stock(data: &mut Dataset, (begin, end): (i64, i64), rng: &mut Xoshiro256PlusPlus) {
    let Dataset {
        catalog,
        inventory,
        locations,
        ..
    } = data;
    let variations = catalog
        .objects()
        .iter()
        .filter(|o| o.kind == ObjectKind::ItemVariation);
    for (n, variation) in variations.enumerate() {
        // One count each, at a shop of its own: as many counts as variations.
        let place = n % locations.len();
        let at = rng.random_range(begin..end);
        let quantity = rng.random_range(STOCK_ABOUT);
        inventory.set(&variation.id, (place, &locations[place].id), quantity, at);
    }
}
