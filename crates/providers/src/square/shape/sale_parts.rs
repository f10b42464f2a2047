//! Parts of orders: lines, taxes and discounts, returns, tenders, refunds.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::Money;
use crate::shapes::{self, SaleLine};

/// A line sold or returned.
#[derive(Deserialize)]
pub(super) struct Line {
    uid: Option<String>,
    name: Option<String>,
    variation_name: Option<String>,
    quantity: Decimal,
    catalog_object_id: Option<String>,
    base_price_money: Option<Money>,
    total_tax_money: Option<Money>,
    total_discount_money: Option<Money>,
    total_money: Option<Money>,
}

impl From<Line> for SaleLine {
    fn from(line: Line) -> Self {
        Self {
            id: line.uid,
            variation_id: line.catalog_object_id,
            // A line of a fixed amount has no name but that of what was rung up.
            name: line.name.or(line.variation_name),
            quantity: line.quantity,
            unit_price: line.base_price_money.map(Into::into),
            tax: line.total_tax_money.map(Into::into),
            discount: line.total_discount_money.map(Into::into),
            total: line.total_money.map(Into::into),
        }
    }
}

/// A tax or discount of an order.
#[derive(Deserialize)]
pub(super) struct Applied {
    catalog_object_id: Option<String>,
    name: Option<String>,
    percentage: Option<Decimal>,
    applied_money: Option<Money>,
}

impl From<Applied> for shapes::Applied {
    fn from(applied: Applied) -> Self {
        let Applied {
            catalog_object_id: catalog_id,
            name,
            percentage,
            applied_money,
        } = applied;
        Self {
            catalog_id,
            name,
            percentage,
            amount: applied_money.map(Into::into),
        }
    }
}

/// Goods that came back.
#[derive(Deserialize)]
pub(super) struct Return {
    source_order_id: Option<String>,
    #[serde(default)]
    return_line_items: Vec<Line>,
    return_amounts: Option<Amounts>,
}

#[derive(Deserialize)]
struct Amounts {
    total_money: Option<Money>,
}

impl Return {
    /// What they are worth: Square's roll-up, else the sum over the lines.
    pub(super) fn total(&self) -> Option<Money> {
        let rolled_up = self
            .return_amounts
            .as_ref()
            .and_then(|amounts| amounts.total_money.clone());
        rolled_up.or_else(|| {
            let totals = self
                .return_line_items
                .iter()
                .filter_map(|line| line.total_money.clone());
            totals.reduce(|sum, next| Money {
                amount: sum.amount + next.amount,
                currency: sum.currency,
            })
        })
    }
}

impl From<Return> for shapes::Return {
    fn from(returned: Return) -> Self {
        let total = returned.total().map(Into::into);
        let lines = returned
            .return_line_items
            .into_iter()
            .map(Into::into)
            .collect();
        Self {
            sale_id: returned.source_order_id,
            lines,
            total,
        }
    }
}

/// One payment.
#[derive(Deserialize)]
pub(super) struct Tender {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    amount_money: Option<Money>,
    tip_money: Option<Money>,
}

impl From<Tender> for shapes::Tender {
    fn from(tender: Tender) -> Self {
        Self {
            id: tender.id,
            kind: tender.kind.to_ascii_lowercase(),
            amount: tender.amount_money.map(Into::into),
            tip: tender.tip_money.map(Into::into),
        }
    }
}

/// Money paid back.
#[derive(Deserialize)]
pub(super) struct Refund {
    id: String,
    status: String,
    reason: Option<String>,
    amount_money: Money,
}

impl From<Refund> for shapes::Refund {
    fn from(
        Refund {
            id,
            status,
            reason,
            amount_money,
        }: Refund,
    ) -> Self {
        Self {
            id,
            status: status.to_ascii_lowercase(),
            reason,
            amount: amount_money.into(),
        }
    }
}
