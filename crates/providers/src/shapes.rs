//! The unified shapes that every provider of a category fills, so that a reader of
//! records needs not know which provider they come from. The provider's own shape
//! is kept beside.
//!
//! Money is minor units + currency, quantities and rates are exact decimals as text.
//! Ids are the provider's. What a provider does not know is left out.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: cents, pence, yen.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Something that is sold (kind `item`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogItem {
    /// Name.
    pub name: String,
    /// Plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// No longer offered, but not deleted.
    pub archived: bool,
    /// Categories it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category_ids: Vec<String>,
    /// Taxes that apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tax_ids: Vec<String>,
    /// Lists of modifiers that can be chosen from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifier_list_ids: Vec<String>,
    /// What exactly can be bought; at least one.
    pub variations: Vec<Variation>,
    /// Last change at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
}

/// One way to buy an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variation {
    /// The provider's id; lines of sales and counts of stock name it.
    pub id: String,
    /// Name: `Large`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stock keeping unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// GTIN, UPC or EAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// Price; left out where it is set at the till.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

/// A group of items (kind `category`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Name.
    pub name: String,
    /// The category above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
}

/// A tax that can apply (kind `tax`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// Name.
    pub name: String,
    /// Percent: `20`, `8.875`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Decimal>,
    /// Contained in the price rather than added to it.
    pub inclusive: bool,
    /// In use.
    pub enabled: bool,
}

/// A discount that can be given (kind `discount`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// Name.
    pub name: String,
    /// Percent off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Decimal>,
    /// Amount off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// Modifiers that can be chosen for an item (kind `modifier_list`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModifierList {
    /// Name: `Milk`.
    pub name: String,
    /// More than one can be chosen.
    pub multiple: bool,
    /// What can be chosen.
    pub modifiers: Vec<Modifier>,
}

/// One choice: `Oat milk`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modifier {
    /// The provider's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Added to the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

/// A sale (kind `sale`), or goods taken back (kind `return`). All amounts have the
/// sale's currency. Over any set of them, the sum of `net` is what was earned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// Where.
    pub location_id: String,
    /// How far it is.
    pub state: SaleState,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last change at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was completed or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime<Utc>>,
    /// The till or shop it came through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Who bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The seller's own number of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What was sold.
    pub lines: Vec<SaleLine>,
    /// Taxes by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Applied>,
    /// Discounts by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Applied>,
    /// What came back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Return>,
    /// How it was paid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenders: Vec<Tender>,
    /// Money paid back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// Tax within `total`.
    pub tax: Money,
    /// Discount already off `total`.
    pub discount: Money,
    /// Tip within `total`.
    pub tip: Money,
    /// Service charge within `total`.
    pub service_charge: Money,
    /// What was sold, with tax, tip and charges, less discounts.
    pub total: Money,
    /// What came back, not negative.
    pub returned: Money,
    /// `total` less `returned`.
    pub net: Money,
}

/// How far a sale is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleState {
    /// Not yet paid in full.
    Open,
    /// Done.
    Completed,
    /// Called off.
    Cancelled,
    /// Not yet an order.
    Draft,
}

/// One line of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// The provider's id of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The variation sold; left out for amounts keyed in by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation_id: Option<String>,
    /// As printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many, or how much.
    pub quantity: Decimal,
    /// Price of one, before discount and tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
    /// Tax of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// Discount of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// Total of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
}

/// A tax or discount as it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The object of the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Decimal>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// Goods that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The sale they were bought with, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale_id: Option<String>,
    /// What came back; quantities are positive.
    pub lines: Vec<SaleLine>,
    /// What they are worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
}

/// One payment of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tender {
    /// The provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `cash`, `card`, ... in the provider's words, lower case.
    pub kind: String,
    /// How much, tip included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Tip within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Money>,
}

/// Money paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// In the provider's words, lower case.
    pub status: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How much.
    pub amount: Money,
}

/// A customer (kind `customer`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// Company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Telephone, as entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The seller's own number of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When they were entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// Last change at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
}

/// How much of a variation is where (kind `count`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockCount {
    /// What.
    pub variation_id: String,
    /// Where.
    pub location_id: String,
    /// In the provider's words, lower case: `in_stock`, `waste`.
    pub state: String,
    /// How many, or how much; negative when more was sold than counted.
    pub quantity: Decimal,
    /// As of.
    pub counted_at: DateTime<Utc>,
}

/// A file or folder (kinds `file`, `folder`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Name.
    pub name: String,
    /// It holds other files.
    pub folder: bool,
    /// What it is, as an RFC 6838 media type; documents of an online editor have the
    /// provider's own.
    pub mime_type: String,
    /// Plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Bytes; documents of an online editor have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// MD5 of the bytes, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// Folders it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_ids: Vec<String>,
    /// The shared drive it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drive_id: Option<String>,
    /// Mail addresses or names of its owners; files of a shared drive have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Where a person opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// Last change at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
}
