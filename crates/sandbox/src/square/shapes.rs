//! The JSON shapes of Square that both data sources render. Field names are Square's.

use serde::Serialize;

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Money {
    /// Minor units.
    pub amount: i64,
    pub currency: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Location {
    pub id: String,
    pub name: String,
    pub business_name: String,
    pub status: &'static str,
    pub timezone: &'static str,
    pub currency: &'static str,
    pub country: &'static str,
    pub merchant_id: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub address: LocationAddress,
    pub capabilities: [&'static str; 1],
    pub created_at: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct LocationAddress {
    pub locality: String,
    pub country: &'static str,
}

/// The fields every catalog object begins with; its `..._data` follows.
#[derive(Debug, Serialize)]
pub(crate) struct ObjectHead<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub id: &'a str,
    pub updated_at: &'a str,
    pub version: i64,
    pub is_deleted: bool,
    pub present_at_all_locations: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct ItemData<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_plaintext: Option<&'a str>,
    pub is_taxable: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub categories: &'a [CategoryRef<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_category: Option<CategoryRef<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub tax_ids: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub modifier_list_info: &'a [ModifierListInfo<'a>],
    pub product_type: &'static str,
    pub is_archived: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct CategoryRef<'a> {
    pub id: &'a str,
    pub ordinal: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModifierListInfo<'a> {
    pub modifier_list_id: &'a str,
    pub min_selected_modifiers: i32,
    pub max_selected_modifiers: i32,
    pub enabled: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct VariationData<'a> {
    pub item_id: &'a str,
    pub name: &'a str,
    pub sku: &'a str,
    pub ordinal: u32,
    pub pricing_type: &'static str,
    pub price_money: Money,
    pub track_inventory: bool,
    pub sellable: bool,
    pub stockable: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct OrderSource {
    pub name: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct LineItem {
    pub uid: String,
    pub name: String,
    pub variation_name: String,
    /// A decimal as text.
    pub quantity: String,
    pub catalog_object_id: String,
    pub catalog_version: i64,
    pub item_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub base_price_money: Money,
    pub variation_total_price_money: Money,
    pub gross_sales_money: Money,
    pub total_tax_money: Money,
    pub total_discount_money: Money,
    pub total_money: Money,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applied_taxes: Vec<AppliedTax>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applied_discounts: Vec<AppliedDiscount>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct AppliedTax {
    pub uid: String,
    pub tax_uid: &'static str,
    pub applied_money: Money,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct AppliedDiscount {
    pub uid: String,
    pub discount_uid: &'static str,
    pub applied_money: Money,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct OrderTax {
    pub uid: &'static str,
    pub catalog_object_id: String,
    pub name: String,
    pub percentage: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub applied_money: Money,
    pub scope: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct OrderDiscount {
    pub uid: &'static str,
    pub catalog_object_id: String,
    pub name: String,
    pub percentage: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub applied_money: Money,
    pub scope: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tender {
    pub id: String,
    pub location_id: String,
    pub transaction_id: String,
    pub created_at: String,
    pub amount_money: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tip_money: Option<Money>,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReturnLineItem {
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line_item_uid: Option<String>,
    pub name: String,
    pub variation_name: String,
    pub quantity: String,
    pub catalog_object_id: String,
    pub catalog_version: i64,
    pub item_type: &'static str,
    pub base_price_money: Money,
    pub variation_total_price_money: Money,
    pub gross_return_money: Money,
    pub total_tax_money: Money,
    pub total_discount_money: Money,
    pub total_money: Money,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct OrderReturn {
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_order_id: Option<String>,
    pub return_line_items: Vec<ReturnLineItem>,
    pub return_amounts: Amounts,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Refund {
    pub id: String,
    pub location_id: String,
    pub transaction_id: String,
    pub created_at: String,
    pub reason: String,
    pub amount_money: Money,
    pub status: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Amounts {
    pub total_money: Money,
    pub tax_money: Money,
    pub discount_money: Money,
    pub tip_money: Money,
    pub service_charge_money: Money,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Order {
    pub id: String,
    pub location_id: String,
    pub source: OrderSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    pub state: &'static str,
    pub version: i32,
    pub created_at: String,
    pub updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub line_items: Vec<LineItem>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<OrderTax>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<OrderDiscount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<OrderReturn>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenders: Vec<Tender>,
    pub total_money: Money,
    pub total_tax_money: Money,
    pub total_discount_money: Money,
    pub total_tip_money: Money,
    pub total_service_charge_money: Money,
    pub net_amounts: Amounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_amounts: Option<Amounts>,
    pub net_amount_due_money: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Customer {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<CustomerAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    pub creation_source: &'static str,
    pub version: i32,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct CustomerAddress {
    pub country: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct InventoryCount<'a> {
    pub catalog_object_id: &'a str,
    pub catalog_object_type: &'static str,
    pub state: &'static str,
    pub location_id: &'a str,
    pub quantity: &'a str,
    pub calculated_at: &'a str,
    pub is_estimated: bool,
}
