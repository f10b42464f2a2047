//! The clock of changes: what a living merchant does while a client reads.
//!
//! Every change is stamped later than all before it, also when the clock stands still,
//! so a client that reads "changed after what I know" can never miss one by a tie.

use chrono::TimeDelta;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, ObjectKind};
use super::orders::OrderState;
use super::seeded::make_customer;
use super::seeded_catalog::{NewItem, add_item};
use super::seeded_orders::{add, goods, sale};
use super::{Dataset, derive_id};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    ItemCreated,
    /// New name and prices.
    ItemUpdated,
    /// With its variations; visible to a search for deleted objects only.
    ItemDeleted,
    OrderCreated,
    /// An open order is paid, a closed one touched.
    OrderUpdated,
    /// A till that was offline delivers an order made up to 72 hours ago.
    LateOrder,
    StockChanged,
    CustomerCreated,
    CustomerUpdated,
}

/// One change that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub kind: ChangeKind,
    /// Of the item, order, variation or customer.
    pub id: String,
    pub at: String,
}

/// Marks ids made here: the same data advanced twice never makes an id anew.
const MADE_LATER: u64 = 1 << 40;
/// Tries to hit an object of the wanted type before all are looked at.
const THROWS: u32 = 64;
/// Goods that a new order's lines are taken from.
const BASKET: u32 = 6;

impl Dataset {
    /// Makes `count` changes of mixed kinds; fewer when there is nothing left to change.
    pub fn advance(&mut self, count: u32, now_ms: i64) -> Vec<Change> {
        (0..count)
            .filter_map(|_| {
                let kind = match self.rng.random_range(0..100) {
                    0..30 => ChangeKind::ItemUpdated,
                    30..38 => ChangeKind::ItemCreated,
                    38..45 => ChangeKind::ItemDeleted,
                    45..65 => ChangeKind::OrderCreated,
                    65..75 => ChangeKind::OrderUpdated,
                    75..80 => ChangeKind::LateOrder,
                    80..92 => ChangeKind::StockChanged,
                    92..95 => ChangeKind::CustomerCreated,
                    _ => ChangeKind::CustomerUpdated,
                };
                self.change(kind, None, now_ms)
            })
            .collect()
    }

    /// Makes one change, of this object or of one that the seed picks.
    ///
    /// `None` when there is no such object, or nothing of that kind to change.
    pub fn change(&mut self, kind: ChangeKind, id: Option<&str>, now_ms: i64) -> Option<Change> {
        let at = now_ms.max(self.stamp + 1);
        let id = match kind {
            ChangeKind::ItemCreated => self.create_item(at),
            ChangeKind::ItemUpdated => self.update_item(id, at)?,
            ChangeKind::ItemDeleted => self.delete_item(id, at)?,
            ChangeKind::OrderCreated => self.create_order(at, at),
            ChangeKind::LateOrder => {
                let late = self
                    .rng
                    .random_range(1..=TimeDelta::hours(72).num_milliseconds());
                self.create_order(at - late, at)
            }
            ChangeKind::OrderUpdated => self.update_order(id, at)?,
            ChangeKind::StockChanged => self.change_stock(id, at)?,
            ChangeKind::CustomerCreated => self.create_customer(at),
            ChangeKind::CustomerUpdated => self.update_customer(id, at)?,
        };
        self.stamp = at;
        Some(Change {
            kind,
            id,
            at: crate::clock::rfc3339(at),
        })
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        MADE_LATER + self.serial
    }

    /// The named object if it lives, else one that the seed picks.
    fn pick(&mut self, kind: ObjectKind, id: Option<&str>) -> Option<u32> {
        let lives = |row: u32, catalog: &Catalog| {
            let object = catalog.objects().get(row as usize);
            object.is_some_and(|object| object.kind == kind && !object.deleted)
        };
        if let Some(id) = id {
            return self
                .catalog
                .row_of(id)
                .filter(|row| lives(*row, &self.catalog));
        }
        // Most throws hit: scanning 400,000 objects for each change took 23 ms.
        for _ in 0..THROWS {
            let row = self.any(self.catalog.objects().len())?;
            if lives(row, &self.catalog) {
                return Some(row);
            }
        }
        self.catalog.live(kind).choose(&mut self.rng).copied()
    }

    fn id_of(&self, row: u32) -> String {
        self.catalog.objects()[row as usize].id.to_string()
    }

    fn create_item(&mut self, at: i64) -> String {
        let new = NewItem {
            number: self.next_serial(),
            max_variations: 3,
            category: None,
            tax: None,
            modifier_list: None,
        };
        let mut rng = self.fork();
        add_item(self, &new, 0, at, &mut rng)
    }

    fn update_item(&mut self, id: Option<&str>, at: i64) -> Option<String> {
        let row = self.pick(ObjectKind::Item, id)?;
        self.catalog.change_item(row, at, false, |item| {
            let data = &mut item["item_data"];
            let name = data["name"]
                .as_str()
                .unwrap_or_default()
                .trim_end_matches(" (new)");
            data["name"] = format!("{name} (new)").into();
            for variation in data["variations"].as_array_mut().into_iter().flatten() {
                let amount = &mut variation["item_variation_data"]["price_money"]["amount"];
                *amount = (amount.as_i64().unwrap_or_default() + 1).into();
            }
        });
        Some(self.id_of(row))
    }

    fn delete_item(&mut self, id: Option<&str>, at: i64) -> Option<String> {
        let row = self.pick(ObjectKind::Item, id)?;
        self.catalog.change_item(row, at, true, |_| {});
        Some(self.id_of(row))
    }

    fn create_order(&mut self, created: i64, received: i64) -> String {
        let id = derive_id("order", &format!("later/{}", self.next_serial()), 27);
        let basket: Vec<u32> = (0..BASKET)
            .filter_map(|_| self.pick(ObjectKind::Item, None))
            .collect();
        let goods = goods(self, basket);
        let mut rng = self.fork();
        let mut draft = sale(self, id.clone(), &goods, created, &mut rng);
        draft.times.updated = received;
        draft.times.closed = draft.times.closed.map(|_| received);
        add(self, draft);
        id
    }

    fn update_order(&mut self, id: Option<&str>, at: i64) -> Option<String> {
        let open = self.orders.in_state(OrderState::Open);
        let row = match id {
            Some(id) => self.orders.row_of(id)?,
            None => match open.choose(&mut self.rng) {
                Some(row) => *row,
                None => self.any(self.orders.len())?,
            },
        };
        let close = open.contains(&row).then_some(OrderState::Completed);
        self.orders.change(row, at, close);
        self.orders.get(row).map(|order| order.id.to_string())
    }

    fn change_stock(&mut self, id: Option<&str>, at: i64) -> Option<String> {
        let row = self.pick(ObjectKind::ItemVariation, id)?;
        let place = self.rng.random_range(0..self.locations.len());
        let quantity = self.rng.random_range(0..500);
        let id = self.id_of(row);
        self.inventory
            .set(&id, (place, &self.locations[place].id), quantity, at);
        Some(id)
    }

    fn create_customer(&mut self, at: i64) -> String {
        let number = self.next_serial();
        let mut rng = self.fork();
        let customer = make_customer(number, 0, (at, at), &mut rng);
        self.customers.add(&customer, at, at);
        customer.id
    }

    fn update_customer(&mut self, id: Option<&str>, at: i64) -> Option<String> {
        let row = match id {
            Some(id) => self.customers.row_of(id)?,
            None => self.any(self.customers.len())?,
        };
        self.customers.change(row, at);
        self.customers.get(row).map(|customer| customer.id.clone())
    }

    fn any(&mut self, count: usize) -> Option<u32> {
        (count > 0)
            .then(|| self.rng.random_range(0..count))
            .and_then(|n| u32::try_from(n).ok())
    }

    /// A generator of its own, for calls that borrow the whole dataset.
    fn fork(&mut self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.rng.random())
    }
}
