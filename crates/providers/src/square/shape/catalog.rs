//! Catalog objects.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Money, ms, unified, wrong};
use crate::{
    error::ProviderError,
    provider::PulledRecord,
    shapes::{CatalogItem, Category, Discount, Modifier, ModifierList, Tax, Variation},
};

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    updated_at: Option<DateTime<Utc>>,
    version: Option<i64>,
    #[serde(default)]
    is_deleted: bool,
    item_data: Option<ItemData>,
    category_data: Option<CategoryData>,
    tax_data: Option<TaxData>,
    discount_data: Option<DiscountData>,
    modifier_list_data: Option<ModifierListData>,
}

#[derive(Deserialize)]
struct ItemData {
    #[serde(default)]
    name: String,
    description_plaintext: Option<String>,
    description: Option<String>,
    #[serde(default)]
    is_archived: bool,
    #[serde(default)]
    categories: Vec<Reference>,
    #[serde(default)]
    tax_ids: Vec<String>,
    #[serde(default)]
    modifier_list_info: Vec<ModifierListInfo>,
    #[serde(default)]
    variations: Vec<VariationObject>,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

#[derive(Deserialize)]
struct ModifierListInfo {
    modifier_list_id: String,
    /// Left out means yes.
    enabled: Option<bool>,
}

#[derive(Deserialize)]
struct VariationObject {
    id: String,
    #[serde(default)]
    is_deleted: bool,
    item_variation_data: Option<VariationData>,
}

#[derive(Deserialize)]
struct VariationData {
    name: Option<String>,
    sku: Option<String>,
    upc: Option<String>,
    price_money: Option<Money>,
}

#[derive(Deserialize)]
struct CategoryData {
    #[serde(default)]
    name: String,
    parent_category: Option<ParentCategory>,
}

#[derive(Deserialize)]
struct ParentCategory {
    id: Option<String>,
}

#[derive(Deserialize)]
struct TaxData {
    #[serde(default)]
    name: String,
    percentage: Option<Decimal>,
    inclusion_type: Option<String>,
    /// Left out means yes.
    enabled: Option<bool>,
}

#[derive(Deserialize)]
struct DiscountData {
    #[serde(default)]
    name: String,
    percentage: Option<Decimal>,
    amount_money: Option<Money>,
}

#[derive(Deserialize)]
struct ModifierListData {
    #[serde(default)]
    name: String,
    selection_type: Option<String>,
    #[serde(default)]
    modifiers: Vec<ModifierObject>,
}

#[derive(Deserialize)]
struct ModifierObject {
    id: String,
    #[serde(default)]
    is_deleted: bool,
    modifier_data: Option<ModifierData>,
}

#[derive(Deserialize)]
struct ModifierData {
    #[serde(default)]
    name: String,
    price_money: Option<Money>,
}

/// One catalog object as a record.
pub(in crate::square) fn record(raw: Value) -> Result<PulledRecord, ProviderError> {
    let object = Object::deserialize(&raw)
        .map_err(|error| wrong("catalog object", super::text(&raw, "id"), &error))?;
    let Object {
        id,
        updated_at,
        version,
        is_deleted,
        ..
    } = &object;
    let (id, deleted) = (id.clone(), *is_deleted);
    let source_version = version.or_else(|| updated_at.map(ms));
    let kind = object.kind.to_ascii_lowercase();
    let data = match data(object) {
        Some(data) => data,
        // What is deleted may come without its content.
        None if deleted => json!({}),
        None => {
            return Err(ProviderError::protocol(format!(
                "Square's catalog object {id} has no {kind}_data."
            )));
        }
    };
    Ok(PulledRecord {
        external_id: id,
        kind,
        data,
        raw,
        source_version,
        deleted,
    })
}

fn data(object: Object) -> Option<Value> {
    let updated_at = object.updated_at;
    match object.kind.as_str() {
        "ITEM" => object
            .item_data
            .map(|data| unified(&item(data, updated_at))),
        "CATEGORY" => object.category_data.map(
            |CategoryData {
                 name,
                 parent_category,
             }| {
                unified(&Category {
                    name,
                    parent_id: parent_category.and_then(|parent| parent.id),
                })
            },
        ),
        "TAX" => object.tax_data.map(|data| {
            let inclusive = data.inclusion_type.as_deref() == Some("INCLUSIVE");
            let enabled = data.enabled.unwrap_or(true);
            unified(&Tax {
                name: data.name,
                percentage: data.percentage,
                inclusive,
                enabled,
            })
        }),
        "DISCOUNT" => object.discount_data.map(
            |DiscountData {
                 name,
                 percentage,
                 amount_money,
             }| {
                unified(&Discount {
                    name,
                    percentage,
                    amount: amount_money.map(Into::into),
                })
            },
        ),
        "MODIFIER_LIST" => object
            .modifier_list_data
            .map(|data| unified(&modifier_list(data))),
        _ => None,
    }
}

fn item(data: ItemData, updated_at: Option<DateTime<Utc>>) -> CatalogItem {
    let lists = data
        .modifier_list_info
        .into_iter()
        .filter(|info| info.enabled.unwrap_or(true));
    CatalogItem {
        name: data.name,
        description: data.description_plaintext.or(data.description),
        archived: data.is_archived,
        category_ids: data
            .categories
            .into_iter()
            .map(|category| category.id)
            .collect(),
        tax_ids: data.tax_ids,
        modifier_list_ids: lists.map(|info| info.modifier_list_id).collect(),
        variations: data
            .variations
            .into_iter()
            .filter(|it| !it.is_deleted)
            .map(variation)
            .collect(),
        updated_at,
    }
}

fn variation(
    VariationObject {
        id,
        item_variation_data,
        ..
    }: VariationObject,
) -> Variation {
    match item_variation_data {
        Some(VariationData {
            name,
            sku,
            upc,
            price_money,
        }) => Variation {
            id,
            name,
            sku,
            barcode: upc,
            price: price_money.map(Into::into),
        },
        None => Variation {
            id,
            name: None,
            sku: None,
            barcode: None,
            price: None,
        },
    }
}

fn modifier_list(data: ModifierListData) -> ModifierList {
    let living = data
        .modifiers
        .into_iter()
        .filter(|modifier| !modifier.is_deleted);
    let modifiers = living
        .filter_map(
            |ModifierObject {
                 id, modifier_data, ..
             }| {
                let ModifierData { name, price_money } = modifier_data?;
                Some(Modifier {
                    id,
                    name,
                    price: price_money.map(Into::into),
                })
            },
        )
        .collect();
    ModifierList {
        name: data.name,
        multiple: data.selection_type.as_deref() == Some("MULTIPLE"),
        modifiers,
    }
}
