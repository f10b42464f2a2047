//! Orders as sales and returns.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Money, ms,
    sale_parts::{Applied, Line, Refund, Return, Tender},
    text, unified, wrong,
};
use crate::{
    error::ProviderError,
    provider::PulledRecord,
    shapes::{self, Sale, SaleState},
};

#[derive(Deserialize)]
struct Order {
    id: String,
    location_id: String,
    state: State,
    version: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    source: Option<Source>,
    customer_id: Option<String>,
    reference_id: Option<String>,
    #[serde(default)]
    line_items: Vec<Line>,
    #[serde(default)]
    taxes: Vec<Applied>,
    #[serde(default)]
    discounts: Vec<Applied>,
    #[serde(default)]
    returns: Vec<Return>,
    #[serde(default)]
    tenders: Vec<Tender>,
    #[serde(default)]
    refunds: Vec<Refund>,
    total_money: Option<Money>,
    total_tax_money: Option<Money>,
    total_discount_money: Option<Money>,
    total_tip_money: Option<Money>,
    total_service_charge_money: Option<Money>,
    return_amounts: Option<Amounts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum State {
    Open,
    Completed,
    Canceled,
    Draft,
}

#[derive(Deserialize)]
struct Source {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Amounts {
    total_money: Option<Money>,
}

/// One order as a record: kind `return` where it only takes goods back, else `sale`.
pub(in crate::square) fn record(raw: Value) -> Result<PulledRecord, ProviderError> {
    let order =
        Order::deserialize(&raw).map_err(|error| wrong("order", text(&raw, "id"), &error))?;
    let kind = if order.line_items.is_empty() && !order.returns.is_empty() {
        "return"
    } else {
        "sale"
    };
    let external_id = order.id.clone();
    // Every order written since 2019 has a version that grows by one with each change.
    let source_version = order.version.or_else(|| order.updated_at.map(ms));
    let Some(sale) = sale(order) else {
        return Err(ProviderError::protocol(format!(
            "Square's order {external_id} has no amount at all."
        )));
    };
    let data = unified(&sale);
    Ok(PulledRecord {
        external_id,
        kind: kind.into(),
        data,
        raw,
        source_version,
        deleted: false,
    })
}

fn sale(order: Order) -> Option<Sale> {
    let returned = returned(&order);
    let currency = order
        .total_money
        .as_ref()
        .or(returned.as_ref())
        .map(|money| money.currency.clone())?;
    let amount = |money: Option<Money>| shapes::Money {
        amount: money.map_or(0, |money| money.amount),
        currency: currency.clone(),
    };
    let total = amount(order.total_money);
    let returned = amount(returned);
    let net = shapes::Money {
        amount: total.amount - returned.amount,
        currency: currency.clone(),
    };
    Some(Sale {
        location_id: order.location_id,
        state: match order.state {
            State::Open => SaleState::Open,
            State::Completed => SaleState::Completed,
            State::Canceled => SaleState::Cancelled,
            State::Draft => SaleState::Draft,
        },
        created_at: order.created_at,
        updated_at: order.updated_at,
        closed_at: order.closed_at,
        source: order.source.and_then(|source| source.name),
        customer_id: order.customer_id,
        reference: order.reference_id,
        lines: order.line_items.into_iter().map(Into::into).collect(),
        taxes: order.taxes.into_iter().map(Into::into).collect(),
        discounts: order.discounts.into_iter().map(Into::into).collect(),
        returns: order.returns.into_iter().map(Into::into).collect(),
        tenders: order.tenders.into_iter().map(Into::into).collect(),
        refunds: order.refunds.into_iter().map(Into::into).collect(),
        tax: amount(order.total_tax_money),
        discount: amount(order.total_discount_money),
        tip: amount(order.total_tip_money),
        service_charge: amount(order.total_service_charge_money),
        total,
        returned,
        net,
    })
}

/// What came back in all: Square's roll-up, else the sum over the returns.
fn returned(order: &Order) -> Option<Money> {
    let rolled_up = order
        .return_amounts
        .as_ref()
        .and_then(|amounts| amounts.total_money.clone());
    rolled_up.or_else(|| {
        let totals = order.returns.iter().filter_map(Return::total);
        totals.reduce(|sum, next| Money {
            amount: sum.amount + next.amount,
            currency: sum.currency,
        })
    })
}
