//! The catalog of a seeded merchant.

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::catalog::{Item, ObjectKind, Variation};
use super::seeded::{CURRENCY, Sizes};
use super::{Dataset, derive_id};
use crate::clock::rfc3339;
use crate::square::shapes::Money;

/// Name, percent, hundredths of a percent.
pub(super) const TAXES: [(&str, &str, i64); 2] =
    [("Sales tax", "8.25", 825), ("Reduced tax", "4", 400)];
pub(super) const DISCOUNTS: [(&str, &str, i64); 2] =
    [("Staff discount", "15", 1500), ("Happy hour", "10", 1000)];
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

pub(super) fn add_catalog(
    data: &mut Dataset,
    sizes: &Sizes,
    (begin, end): (i64, i64),
    seed: u64,
    rng: &mut Xoshiro256PlusPlus,
) {
    let mut plain = Plain { data, begin, seed };
    let categories: Vec<String> = (0..u64::from(sizes.categories.max(1)))
        .map(|n| plain.category(n))
        .collect();
    let taxes: Vec<String> = (0u64..)
        .zip(TAXES)
        .map(|(n, (name, percentage, _))| plain.tax(n, name, percentage))
        .collect();
    for (n, (name, percentage, _)) in (0u64..).zip(DISCOUNTS) {
        plain.discount(n, name, percentage);
    }
    let modifier_list = plain.modifier_list();

    // Changes lie evenly over the year, in the order of the items: the index by time is
    // then filled from one end, which is several times faster for 200,000 of them.
    let step = ((end - begin) / (i64::from(sizes.items) + 1)).max(1);
    for n in 0..sizes.items {
        let changed = (begin + step * i64::from(n)).min(end);
        let tax = taxes.choose(rng).filter(|_| n % 7 != 0);
        let new = NewItem {
            number: u64::from(n),
            max_variations: sizes.max_variations.max(1),
            category: categories.choose(rng).map(String::as_str),
            tax: tax.map(String::as_str),
            modifier_list: (n % 20 == 0).then_some(modifier_list.as_str()),
        };
        add_item(data, &new, seed, changed, rng);
    }
}

/// Makes the objects that are not items, all at the beginning of the year.
struct Plain<'a> {
    data: &'a mut Dataset,
    begin: i64,
    seed: u64,
}

impl Plain<'_> {
    fn id(&self, kind: &str, number: u64) -> String {
        derive_id(kind, &format!("{}/{number}", self.seed), 24)
    }

    fn add(&mut self, kind: ObjectKind, id: &str, field: &str, value: &Value) {
        self.data
            .catalog
            .add_plain(kind, id, (field, value), self.begin);
    }

    fn category(&mut self, number: u64) -> String {
        let id = self.id("category", number);
        let n = usize::try_from(number).unwrap_or_default();
        let name = format!("{} {}", KINDS[n % KINDS.len()], n / KINDS.len() + 1);
        let value = json!({"name": name, "is_top_level": true});
        self.add(ObjectKind::Category, &id, "category_data", &value);
        id
    }

    fn tax(&mut self, number: u64, name: &str, percentage: &str) -> String {
        let id = self.id("tax", number);
        let value = json!({"name": name, "percentage": percentage, "enabled": true,
            "calculation_phase": "TAX_SUBTOTAL_PHASE", "inclusion_type": "ADDITIVE"});
        self.add(ObjectKind::Tax, &id, "tax_data", &value);
        id
    }

    fn discount(&mut self, number: u64, name: &str, percentage: &str) {
        let id = self.id("discount", number);
        let value = json!({"name": name, "percentage": percentage,
            "discount_type": "FIXED_PERCENTAGE", "pin_required": false});
        self.add(ObjectKind::Discount, &id, "discount_data", &value);
    }

    /// One list, its modifiers nested and also objects of their own.
    fn modifier_list(&mut self) -> String {
        let list = self.id("modifier-list", 0);
        let stamp = rfc3339(self.begin);
        let mut nested = Vec::new();
        for (n, name) in (1u64..).zip(["Gift wrap", "Greeting card", "Ribbon"]) {
            let id = self.id("modifier", n);
            let value = json!({"name": name, "ordinal": n, "modifier_list_id": list,
                "price_money": {"amount": n * 50, "currency": CURRENCY}});
            self.add(ObjectKind::Modifier, &id, "modifier_data", &value);
            nested.push(json!({"type": "MODIFIER", "id": id, "updated_at": stamp,
                "version": self.begin, "is_deleted": false, "present_at_all_locations": true,
                "modifier_data": value}));
        }
        let value = json!({"name": "Extras", "selection_type": "MULTIPLE", "modifiers": nested});
        self.add(
            ObjectKind::ModifierList,
            &list,
            "modifier_list_data",
            &value,
        );
        list
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
