//! Makes a merchant of order lines.
//!
//! - A product code is one item with one variation; it takes the latest price and the
//!   latest description, or its code for a name when no line describes it.
//! - An invoice is an order whose lines keep their own prices; the invoice number is its
//!   `reference_id`.
//! - A cancellation (`C...`) is an order without line items that holds the returned lines
//!   and an approved refund, as Square shows an itemized return without its sale.
//! - A line with a negative quantity at price 0 is a stock adjustment. Square's lines have
//!   no negative quantities, so it stands as a line of zero money with the quantity's
//!   size, the sign in its note, and `kind: stock_adjustment` in the order's metadata.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::Map;

use super::catalog::{Item, Variation};
use super::csv::{self, CsvError, Row};
use super::order_draft::{Draft, Line};
use super::orders::{OrderState, OrderTimes};
use super::{Dataset, derive_id};
use crate::clock::rfc3339;
use crate::square::shapes::{Customer, CustomerAddress, Money};

const CURRENCY: &str = "GBP";

#[derive(Debug)]
struct Product<'a> {
    item_id: String,
    variation_id: String,
    code: &'a str,
    name: Option<&'a str>,
    price: i64,
    at: i64,
}

impl Dataset {
    /// Reads a file of order lines; see [`CsvError`] for what is refused.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is not allowed.
    pub fn from_csv(path: impl AsRef<Path>) -> Result<Self, CsvError> {
        Self::from_csv_reader(csv::open(path.as_ref())?)
    }

    /// The same from anything that can be read.
    ///
    /// # Errors
    /// As [`Dataset::from_csv`].
    pub fn from_csv_reader(input: impl Read) -> Result<Self, CsvError> {
        let rows = csv::read(input)?;
        let mut data = Self::empty("Gift Retailer", "GB", CURRENCY, 0);
        let opened = rows.iter().map(|row| row.at).min().unwrap_or_default();
        data.add_location("London", "London", "Europe/London", "ACTIVE", opened);

        let products = add_products(&mut data, &rows);
        let customers = add_customers(&mut data, &rows);
        for invoice in by_invoice(&rows) {
            add_order(&mut data, &invoice, &products, &customers);
        }
        data.stamp = rows.iter().map(|row| row.at).max().unwrap_or_default();
        Ok(data)
    }
}

/// Groups in order of first appearance; the lines of a group need not be neighbours.
fn group<'a, K: std::hash::Hash + Eq>(
    rows: &'a [Row],
    key: impl Fn(&'a Row) -> Option<K>,
) -> Vec<Vec<&'a Row>> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let Some(key) = key(row) else { continue };
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    groups
}

fn by_invoice(rows: &[Row]) -> Vec<Vec<&Row>> {
    group(rows, |row| Some(row.invoice.as_str()))
}

fn add_products<'a>(data: &mut Dataset, rows: &'a [Row]) -> HashMap<&'a str, Product<'a>> {
    let mut products = HashMap::new();
    for mut lines in group(rows, |row| Some(row.code.as_str())) {
        // Stable: of two lines of the same minute the later in the file is the latest.
        lines.sort_by_key(|row| row.at);
        let Some(latest) = lines.last() else { continue };
        let product = Product {
            item_id: derive_id("item", &latest.code, 24),
            variation_id: derive_id("variation", &latest.code, 24),
            code: &latest.code,
            name: lines
                .iter()
                .rev()
                .find_map(|row| row.description.as_deref()),
            price: latest.price,
            at: latest.at,
        };
        data.catalog.add_item(
            &Item {
                id: &product.item_id,
                name: product.name.unwrap_or(product.code),
                description: None,
                category_id: None,
                tax_ids: &[],
                modifier_list_id: None,
                variations: &[Variation {
                    id: &product.variation_id,
                    name: "Regular",
                    sku: product.code,
                    price: Money {
                        amount: product.price,
                        currency: CURRENCY,
                    },
                }],
            },
            product.at,
        );
        products.insert(product.code, product);
    }
    products
}

fn add_customers<'a>(data: &mut Dataset, rows: &'a [Row]) -> HashMap<&'a str, String> {
    let mut customers = HashMap::new();
    for lines in group(rows, |row| row.customer.as_deref()) {
        let Some(first) = lines.iter().min_by_key(|row| row.at) else {
            continue;
        };
        let Some(number) = first.customer.as_deref() else {
            continue;
        };
        let id = derive_id("customer", number, 26);
        let customer = Customer {
            id: id.clone(),
            given_name: None,
            family_name: None,
            company_name: Some(format!("Customer {number}")),
            email_address: None,
            phone_number: None,
            address: country_code(&first.country).map(|country| CustomerAddress { country }),
            reference_id: Some(number.to_owned()),
            creation_source: "IMPORT",
            version: 0,
            created_at: rfc3339(first.at),
            updated_at: rfc3339(first.at),
        };
        data.customers.add(&customer, first.at, first.at);
        customers.insert(number, id);
    }
    customers
}

fn add_order(
    data: &mut Dataset,
    rows: &[&Row],
    products: &HashMap<&str, Product<'_>>,
    customers: &HashMap<&str, String>,
) {
    let Some(first) = rows.first() else { return };
    let created = rows.iter().map(|row| row.at).min().unwrap_or(first.at);
    let closed = rows.iter().map(|row| row.at).max().unwrap_or(first.at);
    let times = OrderTimes {
        created,
        updated: closed,
        closed: Some(closed),
    };
    let lines: Vec<Line> = rows
        .iter()
        .filter_map(|row| Some(line(row, products.get(row.code.as_str())?)))
        .collect();
    let adjustment = !first.cancellation && rows.iter().all(|row| row.quantity < 0);
    let (sold, returned) = if first.cancellation {
        (Vec::new(), lines)
    } else {
        (lines, Vec::new())
    };
    let customer = rows.iter().find_map(|row| row.customer.as_deref());
    let draft = Draft {
        id: derive_id("order", &first.invoice, 27),
        location_id: data.locations[0].id.clone(),
        currency: CURRENCY,
        source: "Invoices",
        customer_id: customer.and_then(|number| customers.get(number).cloned()),
        reference_id: Some(first.invoice.clone()),
        state: OrderState::Completed,
        times,
        lines: sold,
        tax: None,
        discount: None,
        tip: 0,
        tender: "OTHER",
        returned,
        source_order_id: None,
        metadata: adjustment
            .then(|| Map::from_iter([("kind".to_owned(), "stock_adjustment".into())])),
    };
    data.orders
        .add(&draft.build(), 0, OrderState::Completed, times);
}

fn line(row: &Row, product: &Product<'_>) -> Line {
    let adjustment = !row.cancellation && row.quantity < 0;
    let size = row.quantity.abs();
    let gross = size * row.price;
    Line {
        name: row
            .description
            .as_deref()
            .or(product.name)
            .unwrap_or(product.code)
            .to_owned(),
        variation_name: "Regular".to_owned(),
        quantity: size.to_string(),
        variation_id: product.variation_id.clone(),
        catalog_version: product.at,
        price: row.price,
        gross,
        discount: 0,
        tax: 0,
        note: adjustment.then(|| format!("Stock adjustment {}", row.quantity)),
    }
}

/// ISO 3166 codes of the countries that the public data set names in its own way.
fn country_code(name: &str) -> Option<&'static str> {
    Some(match name {
        "Australia" => "AU",
        "Austria" => "AT",
        "Bahrain" => "BH",
        "Belgium" => "BE",
        "Brazil" => "BR",
        "Canada" => "CA",
        "Channel Islands" => "JE",
        "Cyprus" => "CY",
        "Czech Republic" => "CZ",
        "Denmark" => "DK",
        "EIRE" => "IE",
        "Finland" => "FI",
        "France" => "FR",
        "Germany" => "DE",
        "Greece" => "GR",
        "Hong Kong" => "HK",
        "Iceland" => "IS",
        "Israel" => "IL",
        "Italy" => "IT",
        "Japan" => "JP",
        "Lebanon" => "LB",
        "Lithuania" => "LT",
        "Malta" => "MT",
        "Netherlands" => "NL",
        "Norway" => "NO",
        "Poland" => "PL",
        "Portugal" => "PT",
        "RSA" => "ZA",
        "Saudi Arabia" => "SA",
        "Singapore" => "SG",
        "Spain" => "ES",
        "Sweden" => "SE",
        "Switzerland" => "CH",
        "USA" => "US",
        "United Arab Emirates" => "AE",
        "United Kingdom" => "GB",
        _ => return None,
    })
}
