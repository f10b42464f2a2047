//! Orders of a seeded merchant: every shape that a reader must cope with occurs.
//!
//! Completed sales with taxes, discounts and tips, open and cancelled orders, quantities
//! with decimals, guests and customers, and returns that refer to their sale.

use chrono::TimeDelta;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::catalog::ObjectKind;
use super::order_draft::{Draft, Line, Rate};
use super::orders::{OrderState, OrderTimes};
use super::seeded_catalog::{DISCOUNTS, TAXES};
use super::{Dataset, derive_id};

/// What can be sold, read off the catalog once: rendering is the only store of it.
#[derive(Debug)]
pub(super) struct Goods {
    name: String,
    variation_name: String,
    variation_id: String,
    version: i64,
    price: i64,
}

/// At most so many different goods: orders stay cheap to make beside a large catalog.
const ASSORTMENT: usize = 2_000;

fn assortment(data: &Dataset) -> Vec<Goods> {
    let items = data.catalog.live(ObjectKind::Item);
    let step = items.len().div_ceil(ASSORTMENT).max(1);
    goods(data, items.into_iter().step_by(step))
}

/// What these rows of the catalog are sold as.
pub(super) fn goods(data: &Dataset, rows: impl IntoIterator<Item = u32>) -> Vec<Goods> {
    rows.into_iter()
        .filter_map(|row| {
            let json = &data.catalog.objects().get(row as usize)?.json;
            let item: Value = serde_json::from_slice(json).ok()?;
            let variation = item["item_data"]["variations"].get(0)?;
            Some(Goods {
                name: item["item_data"]["name"].as_str()?.to_owned(),
                variation_name: variation["item_variation_data"]["name"]
                    .as_str()?
                    .to_owned(),
                variation_id: variation["id"].as_str()?.to_owned(),
                version: variation["version"].as_i64()?,
                price: variation["item_variation_data"]["price_money"]["amount"].as_i64()?,
            })
        })
        .collect()
}

pub(super) fn add_orders(
    data: &mut Dataset,
    count: u32,
    end: i64,
    seed: u64,
    rng: &mut Xoshiro256PlusPlus,
) {
    let goods = assortment(data);
    let begin = end - TimeDelta::days(90).num_milliseconds();
    let step = ((end - begin) / (i64::from(count) + 1)).max(1);
    let mut last_sale: Option<(String, Vec<Line>)> = None;
    for n in 0..count {
        let created = (begin + step * i64::from(n)).min(end);
        let id = derive_id("order", &format!("{seed}/{n}"), 27);
        let returns = n % 25 == 24;
        let draft = match last_sale.take().filter(|_| returns) {
            Some((sale, lines)) => return_of(data, id, (sale, lines), created, rng),
            None => sale(data, id, &goods, created, rng),
        };
        if draft.state == OrderState::Completed && draft.returned.is_empty() {
            last_sale = Some((draft.id.clone(), draft.lines.clone()));
        }
        add(data, draft);
    }
}

pub(super) fn add(data: &mut Dataset, draft: Draft) {
    let location = data
        .locations
        .iter()
        .position(|location| location.id == draft.location_id)
        .unwrap_or_default();
    let (state, times) = (draft.state, draft.times);
    data.orders.add(&draft.build(), location, state, times);
}

fn shell(data: &Dataset, id: String, created: i64, rng: &mut Xoshiro256PlusPlus) -> Draft {
    let location = data
        .locations
        .choose(rng)
        .map(|location| location.id.clone());
    Draft {
        id,
        location_id: location.unwrap_or_default(),
        currency: data.currency,
        source: "Point of Sale",
        customer_id: None,
        reference_id: None,
        state: OrderState::Completed,
        times: OrderTimes {
            created,
            updated: created,
            closed: Some(created),
        },
        lines: Vec::new(),
        tax: None,
        discount: None,
        tip: 0,
        tender: "CARD",
        returned: Vec::new(),
        source_order_id: None,
        metadata: None,
    }
}

/// One sale; open, cancelled, discounted or tipped now and then.
pub(super) fn sale(
    data: &Dataset,
    id: String,
    goods: &[Goods],
    created: i64,
    rng: &mut Xoshiro256PlusPlus,
) -> Draft {
    let mut draft = shell(data, id, created, rng);
    let tax = rng
        .random_bool(0.7)
        .then(|| rng.random_range(0..TAXES.len()));
    let discount = rng
        .random_bool(0.2)
        .then(|| rng.random_range(0..DISCOUNTS.len()));
    let rates = (
        tax.map_or(0, |n| TAXES[n].2),
        discount.map_or(0, |n| DISCOUNTS[n].2),
    );
    draft.lines = (0..rng.random_range(1..=6))
        .filter_map(|_| Some(line(goods.choose(rng)?, rates, rng.random_range(1..=40))))
        .collect();
    let rate = |kind: &str, (name, percentage, _): (&str, &str, i64)| {
        let object = data.catalog.objects().iter().find(|object| {
            let wanted = if kind == "tax" {
                ObjectKind::Tax
            } else {
                ObjectKind::Discount
            };
            object.kind == wanted
                && object
                    .json
                    .windows(name.len())
                    .any(|window| window == name.as_bytes())
        });
        object.map(|object| Rate {
            catalog_object_id: object.id.to_string(),
            name: name.to_owned(),
            percentage: percentage.to_owned(),
        })
    };
    draft.tax = tax.and_then(|n| rate("tax", TAXES[n]));
    draft.discount = discount.and_then(|n| rate("discount", DISCOUNTS[n]));
    if rng.random_bool(0.3) && data.customers.len() > 0 {
        let row = rng.random_range(0..data.customers.len());
        let row = u32::try_from(row).unwrap_or_default();
        draft.customer_id = data.customers.get(row).map(|customer| customer.id.clone());
    }
    if rng.random_bool(0.25) {
        draft.tip = rng.random_range(50..1500);
    }
    if rng.random_bool(0.3) {
        draft.tender = "CASH";
    }
    match rng.random_range(0..100) {
        0..5 => {
            draft.state = OrderState::Open;
            draft.times.closed = None;
        }
        5..8 => {
            draft.state = OrderState::Canceled;
            draft.tip = 0;
        }
        _ => {}
    }
    draft
}

/// Quantities come in tenths: now and then one is not whole, as goods by weight are.
fn line(goods: &Goods, (tax, discount): (i64, i64), tenths: i64) -> Line {
    let tenths = if tenths % 10 == 5 {
        tenths
    } else {
        (tenths / 10 + 1) * 10
    };
    let quantity = if tenths % 10 == 0 {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let gross = half_up(goods.price * tenths, 10);
    let reduced = half_up(gross * discount, 10_000);
    Line {
        name: goods.name.clone(),
        variation_name: goods.variation_name.clone(),
        quantity,
        variation_id: goods.variation_id.clone(),
        catalog_version: goods.version,
        price: goods.price,
        gross,
        discount: reduced,
        tax: half_up((gross - reduced) * tax, 10_000),
        note: None,
    }
}

fn half_up(amount: i64, by: i64) -> i64 {
    (amount + by / 2).div_euclid(by)
}

/// Gives back the first line of an earlier sale.
fn return_of(
    data: &Dataset,
    id: String,
    (sale, lines): (String, Vec<Line>),
    created: i64,
    rng: &mut Xoshiro256PlusPlus,
) -> Draft {
    let mut draft = shell(data, id, created, rng);
    draft.returned = lines.into_iter().take(1).collect();
    if let Some(sold) = data.orders.find(&sale) {
        draft
            .location_id
            .clone_from(&data.locations[sold.location].id);
        draft.customer_id = sold.customer_id.as_deref().map(str::to_owned);
    }
    draft.source_order_id = Some(sale);
    draft
}
