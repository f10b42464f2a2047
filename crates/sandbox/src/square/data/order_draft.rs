//! An order before its totals are added up, for both sources of data.
//!
//! Totals follow Square: `total_money` is what was sold, tip included; what an order
//! gives back stands in `return_amounts`; `net_amounts` is the difference.

use serde_json::{Map, Value};

use super::derive_id;
use super::orders::{OrderState, OrderTimes};
use crate::clock::rfc3339;
use crate::square::shapes::{
    Amounts, AppliedDiscount, AppliedTax, LineItem, Money, Order, OrderDiscount, OrderReturn,
    OrderSource, OrderTax, Refund, ReturnLineItem, Tender,
};

const TAX: &str = "tax";
const DISCOUNT: &str = "discount";

/// One line, sold or returned; amounts in minor units, all at or above zero.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub name: String,
    pub variation_name: String,
    pub quantity: String,
    pub variation_id: String,
    pub catalog_version: i64,
    pub price: i64,
    pub gross: i64,
    pub discount: i64,
    pub tax: i64,
    pub note: Option<String>,
}

impl Line {
    fn total(&self) -> i64 {
        self.gross - self.discount + self.tax
    }
}

/// A tax or discount of the catalog that applies to an order's lines.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    pub catalog_object_id: String,
    pub name: String,
    pub percentage: String,
}

#[derive(Debug)]
pub(crate) struct Draft {
    pub id: String,
    pub location_id: String,
    pub currency: &'static str,
    pub source: &'static str,
    pub customer_id: Option<String>,
    pub reference_id: Option<String>,
    pub state: OrderState,
    pub times: OrderTimes,
    pub lines: Vec<Line>,
    pub tax: Option<Rate>,
    pub discount: Option<Rate>,
    pub tip: i64,
    pub tender: &'static str,
    pub returned: Vec<Line>,
    pub source_order_id: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    total: i64,
    tax: i64,
    discount: i64,
    tip: i64,
}

impl Sums {
    fn of(lines: &[Line], tip: i64) -> Self {
        Self {
            total: lines.iter().map(Line::total).sum::<i64>() + tip,
            tax: lines.iter().map(|line| line.tax).sum(),
            discount: lines.iter().map(|line| line.discount).sum(),
            tip,
        }
    }

    fn less(self, other: Self) -> Self {
        Self {
            total: self.total - other.total,
            tax: self.tax - other.tax,
            discount: self.discount - other.discount,
            tip: self.tip - other.tip,
        }
    }

    fn amounts(self, currency: &'static str) -> Amounts {
        let money = |amount| Money { amount, currency };
        Amounts {
            total_money: money(self.total),
            tax_money: money(self.tax),
            discount_money: money(self.discount),
            tip_money: money(self.tip),
            service_charge_money: money(0),
        }
    }
}

impl Draft {
    pub fn build(self) -> Order {
        let currency = self.currency;
        let money = |amount| Money { amount, currency };
        let sold = Sums::of(&self.lines, self.tip);
        let returned = Sums::of(&self.returned, 0);
        let paid = matches!(self.state, OrderState::Completed);
        let created_at = rfc3339(self.times.created);
        let closed_at = self.times.closed.map(rfc3339);
        let tenders = (paid && sold.total > 0).then(|| Tender {
            id: derive_id("tender", &self.id, 24),
            location_id: self.location_id.clone(),
            transaction_id: self.id.clone(),
            created_at: created_at.clone(),
            amount_money: money(sold.total),
            tip_money: (self.tip > 0).then(|| money(self.tip)),
            kind: self.tender,
        });
        let refunds = (returned.total > 0).then(|| Refund {
            id: derive_id("refund", &self.id, 24),
            location_id: self.location_id.clone(),
            transaction_id: self.id.clone(),
            created_at: created_at.clone(),
            reason: "Returned goods".to_owned(),
            amount_money: money(returned.total),
            status: "APPROVED",
        });
        let returns = (!self.returned.is_empty()).then(|| OrderReturn {
            uid: derive_id("return", &self.id, 22),
            source_order_id: self.source_order_id.clone(),
            return_line_items: (0u32..)
                .zip(&self.returned)
                .map(|(n, line)| return_line(line, n, currency, self.source_order_id.is_some()))
                .collect(),
            return_amounts: returned.amounts(currency),
        });
        let due = if paid { 0 } else { sold.total };
        Order {
            line_items: (0u32..)
                .zip(&self.lines)
                .map(|(n, line)| sold_line(line, n, currency))
                .collect(),
            taxes: self
                .tax
                .map(|rate| OrderTax {
                    uid: TAX,
                    catalog_object_id: rate.catalog_object_id,
                    name: rate.name,
                    percentage: rate.percentage,
                    kind: "ADDITIVE",
                    applied_money: money(sold.tax),
                    scope: "LINE_ITEM",
                })
                .into_iter()
                .collect(),
            discounts: self
                .discount
                .map(|rate| OrderDiscount {
                    uid: DISCOUNT,
                    catalog_object_id: rate.catalog_object_id,
                    name: rate.name,
                    percentage: rate.percentage,
                    kind: "FIXED_PERCENTAGE",
                    applied_money: money(sold.discount),
                    scope: "ORDER",
                })
                .into_iter()
                .collect(),
            id: self.id,
            location_id: self.location_id,
            source: OrderSource { name: self.source },
            customer_id: self.customer_id,
            reference_id: self.reference_id,
            state: self.state.name(),
            version: 1,
            created_at,
            updated_at: rfc3339(self.times.updated),
            closed_at,
            return_amounts: returns.as_ref().map(|_| returned.amounts(currency)),
            returns: returns.into_iter().collect(),
            refunds: refunds.into_iter().collect(),
            tenders: tenders.into_iter().collect(),
            total_money: money(sold.total),
            total_tax_money: money(sold.tax),
            total_discount_money: money(sold.discount),
            total_tip_money: money(sold.tip),
            total_service_charge_money: money(0),
            net_amounts: sold.less(returned).amounts(currency),
            net_amount_due_money: money(due),
            metadata: self.metadata,
        }
    }
}

fn sold_line(line: &Line, number: u32, currency: &'static str) -> LineItem {
    let money = |amount| Money { amount, currency };
    LineItem {
        uid: format!("line-{number}"),
        name: line.name.clone(),
        variation_name: line.variation_name.clone(),
        quantity: line.quantity.clone(),
        catalog_object_id: line.variation_id.clone(),
        catalog_version: line.catalog_version,
        item_type: "ITEM",
        note: line.note.clone(),
        base_price_money: money(line.price),
        variation_total_price_money: money(line.gross),
        gross_sales_money: money(line.gross),
        total_tax_money: money(line.tax),
        total_discount_money: money(line.discount),
        total_money: money(line.total()),
        applied_taxes: (line.tax > 0)
            .then(|| AppliedTax {
                uid: format!("line-{number}-tax"),
                tax_uid: TAX,
                applied_money: money(line.tax),
            })
            .into_iter()
            .collect(),
        applied_discounts: (line.discount > 0)
            .then(|| AppliedDiscount {
                uid: format!("line-{number}-discount"),
                discount_uid: DISCOUNT,
                applied_money: money(line.discount),
            })
            .into_iter()
            .collect(),
    }
}

fn return_line(line: &Line, number: u32, currency: &'static str, linked: bool) -> ReturnLineItem {
    let money = |amount| Money { amount, currency };
    ReturnLineItem {
        uid: format!("return-{number}"),
        source_line_item_uid: linked.then(|| format!("line-{number}")),
        name: line.name.clone(),
        variation_name: line.variation_name.clone(),
        quantity: line.quantity.clone(),
        catalog_object_id: line.variation_id.clone(),
        catalog_version: line.catalog_version,
        item_type: "ITEM",
        base_price_money: money(line.price),
        variation_total_price_money: money(line.gross),
        gross_return_money: money(line.gross),
        total_tax_money: money(line.tax),
        total_discount_money: money(line.discount),
        total_money: money(line.total()),
    }
}
