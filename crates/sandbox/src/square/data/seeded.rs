//! A merchant made from a seed: the same seed and sizes give the same bytes.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::catalog::{Item, ObjectKind, Variation};
use super::seeded_orders::add_orders;
use super::{Dataset, derive_id};
use crate::clock::rfc3339;
use crate::square::shapes::{Customer, CustomerAddress, Money};

const CURRENCY: &str = "USD";

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

/// Name, percent of a tax.
pub(super) const TAXES: [(&str, &str, i64); 2] =
    [("Sales tax", "8.25", 825), ("Reduced tax", "4", 400)];
pub(super) const DISCOUNTS: [(&str, &str, i64); 2] =
    [("Staff discount", "15", 1500), ("Happy hour", "10", 1000)];
const SHOPS: [(&str, &str, &str); 6] = [
    ("Harbour", "Seattle", "America/Los_Angeles"),
    ("Old Town", "Portland", "America/Los_Angeles"),
    ("Market Hall", "Chicago", "America/Chicago"),
    ("Riverside", "New York", "America/New_York"),
    ("Station", "Denver", "America/Denver"),
    ("Garden", "Phoenix", "America/Phoenix"),
];
const KINDS: [&str; 10] = [
    "Coffee", "Tea", "Bowl", "Candle", "Scarf", "Notebook", "Lamp", "Soap", "Mug", "Basket",
];
const LOOKS: [&str; 10] = [
    "Red", "Nordic", "Café", "Small", "Organic", "Vintage", "Blue", "Heavy", "Silk", "Plain",
];
const VARIANTS: [&str; 6] = [
    "Small",
    "Medium",
    "Large",
    "Extra large",
    "Pair",
    "Box of 12",
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

fn add_catalog(
    data: &mut Dataset,
    sizes: &Sizes,
    (begin, end): (i64, i64),
    seed: u64,
    rng: &mut Xoshiro256PlusPlus,
) {
    let id = |kind: &str, n: u64| derive_id(kind, &format!("{seed}/{n}"), 24);
    let categories: Vec<String> = (0..u64::from(sizes.categories.max(1)))
        .map(|n| id("category", n))
        .collect();
    for (n, category) in categories.iter().enumerate() {
        let name = format!("{} {}", KINDS[n % KINDS.len()], n / KINDS.len() + 1);
        let value = json!({"name": name, "is_top_level": true});
        data.catalog.add_plain(
            ObjectKind::Category,
            category,
            ("category_data", &value),
            begin,
        );
    }
    let mut taxes = Vec::new();
    for (n, (name, percentage, _)) in (0u64..).zip(TAXES) {
        let value = json!({"name": name, "percentage": percentage, "enabled": true,
            "calculation_phase": "TAX_SUBTOTAL_PHASE", "inclusion_type": "ADDITIVE"});
        taxes.push(id("tax", n));
        data.catalog.add_plain(
            ObjectKind::Tax,
            &taxes[taxes.len() - 1],
            ("tax_data", &value),
            begin,
        );
    }
    for (n, (name, percentage, _)) in (0u64..).zip(DISCOUNTS) {
        let value = json!({"name": name, "percentage": percentage,
            "discount_type": "FIXED_PERCENTAGE", "pin_required": false});
        data.catalog.add_plain(
            ObjectKind::Discount,
            &id("discount", n),
            ("discount_data", &value),
            begin,
        );
    }
    let modifier_list = id("modifier-list", 0);
    let modifiers: Vec<_> = (1u64..)
        .zip(["Gift wrap", "Greeting card", "Ribbon"])
        .map(|(n, name)| {
            json!({"type": "MODIFIER", "id": id("modifier", n), "updated_at": rfc3339(begin),
                "version": begin, "is_deleted": false, "present_at_all_locations": true,
                "modifier_data": {"name": name, "ordinal": n, "modifier_list_id": modifier_list,
                    "price_money": {"amount": n * 50, "currency": CURRENCY}}})
        })
        .collect();
    let value = json!({"name": "Extras", "selection_type": "MULTIPLE", "modifiers": modifiers});
    data.catalog.add_plain(
        ObjectKind::ModifierList,
        &modifier_list,
        ("modifier_list_data", &value),
        begin,
    );

    // Changes lie evenly over the year, in the order of the items: the index by time is
    // then filled from one end, which is several times faster for 200,000 of them.
    let step = ((end - begin) / (i64::from(sizes.items) + 1)).max(1);
    for n in 0..sizes.items {
        let changed = (begin + step * i64::from(n)).min(end);
        let tax = taxes.choose(rng).filter(|_| n % 7 != 0).map(String::as_str);
        let new = NewItem {
            number: u64::from(n),
            max_variations: sizes.max_variations.max(1),
            category: categories.choose(rng).map(String::as_str),
            tax,
            modifier_list: (n % 20 == 0).then_some(modifier_list.as_str()),
        };
        add_item(data, &new, seed, changed, rng);
    }
}

/// What varies between made items.
#[derive(Debug)]
pub(super) struct NewItem<'a> {
    pub number: u64,
    pub max_variations: u32,
    pub category: Option<&'a str>,
    pub tax: Option<&'a str>,
    pub modifier_list: Option<&'a str>,
}

/// Returns the item's id.
pub(super) fn add_item(
    data: &mut Dataset,
    new: &NewItem<'_>,
    seed: u64,
    changed: i64,
    rng: &mut Xoshiro256PlusPlus,
) -> String {
    let currency = data.currency;
    let source = format!("{seed}/{}", new.number);
    let item_id = derive_id("item", &source, 24);
    let kind = KINDS.choose(rng).copied().unwrap_or(KINDS[0]);
    let look = LOOKS.choose(rng).copied().unwrap_or(LOOKS[0]);
    let name = format!("{look} {kind} {}", new.number + 1);
    let description = format!("{look} {}, made by hand.", kind.to_lowercase());
    let count = rng.random_range(1..=new.max_variations).min(250);
    let base = rng.random_range(100..10_000_i64);
    let parts: Vec<(String, String, String, i64)> = (0..count)
        .map(|n| {
            let variant = VARIANTS[n as usize % VARIANTS.len()];
            let name = if count == 1 {
                "Regular".to_owned()
            } else {
                variant.to_owned()
            };
            let id = derive_id("variation", &format!("{source}/{n}"), 24);
            (
                id,
                name,
                format!("SKU-{:06}-{}", new.number + 1, n + 1),
                base + i64::from(n) * 150,
            )
        })
        .collect();
    let variations: Vec<Variation<'_>> = parts
        .iter()
        .map(|(id, name, sku, amount)| Variation {
            id,
            name,
            sku,
            price: Money {
                amount: *amount,
                currency,
            },
        })
        .collect();
    data.catalog.add_item(
        &Item {
            id: &item_id,
            name: &name,
            description: Some(&description),
            category_id: new.category,
            tax_ids: new.tax.as_slice(),
            modifier_list_id: new.modifier_list,
            variations: &variations,
        },
        changed,
    );
    item_id
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
